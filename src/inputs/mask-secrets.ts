import { asObject, asString } from '../lib/json.ts';
import { type RunnerValues, parseMap } from './input-reader.ts';
import type { InputName } from './inputs.ts';

/** IDs are not masked: GitHub drops each job output that contains a masked value, and our outputs are resource IDs. */
export function maskSecrets(get: (name: InputName) => string, mask: (secret: string) => void): void {
  const secrets = new Set((['client-secret', 'admin-password', 'github-token'] as const).map(get));
  // The certificate is public; the rest of the PEM text is the private key.
  secrets.add(get('client-certificate').replace(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g, ''));
  for (const value of secretOverrides(get('overrides'))) secrets.add(value);
  const scriptSecrets = get('run-script-secrets');
  const parsed = parseMap(scriptSecrets, 'failsafe');
  // Invalid or nested maps are reported later; until then every line is masked.
  const values = 'map' in parsed ? Object.values(parsed.map) : [scriptSecrets];
  for (const value of values) secrets.add(typeof value === 'string' ? value : scriptSecrets);
  if (get('ssh-public-key').includes('PRIVATE KEY')) secrets.add(get('ssh-public-key'));
  for (const line of new Set([...secrets].flatMap(linesToMask))) mask(line);
}

/** Values of `overrides` whose property names say that they are secret (adminPassword, protectedSettings, keyData…). */
function secretOverrides(text: string): readonly string[] {
  const parsed = parseMap(text, 'failsafe');
  const found: string[] = [];
  const visit = (value: unknown, isSecret: boolean): void => {
    if (typeof value === 'string' && isSecret) found.push(value);
    if (typeof value !== 'object' || value === null) return;
    for (const [name, child] of Object.entries(value))
      visit(child, isSecret || /password|secret|protected|token|connectionString|sasUri/i.test(name));
  };
  if ('map' in parsed) visit(parsed.map, false);
  return found;
}

/** The runner masks line by line. Lines under 4 characters would mask unrelated text; PEM headers are not secret. */
function linesToMask(text: string): readonly string[] {
  const lines = [text, ...text.split(/\r?\n/)].map((line) => line.trim());
  return lines.filter((line) => line.length >= 4 && !/^-----(BEGIN|END) [A-Z0-9 ]+-----$/.test(line));
}

/** Explains why a value that usually comes from a secret may be empty. */
export function explainEmptyInput({ env, event }: RunnerValues): string {
  if (env['GITHUB_ACTOR'] === 'dependabot[bot]') {
    return (
      'This run was started by Dependabot: GitHub gives such runs none of the Actions secrets. ' +
      'Add them as Dependabot secrets, or skip this step when github.actor is dependabot[bot].'
    );
  }
  const fork = findFork(env, event);
  if (fork !== undefined) {
    return (
      `This run belongs to a pull request from a fork (${fork}): GitHub gives such runs no secrets and no ID token. ` +
      'Skip this step there, e.g. if: github.event.pull_request.head.repo.full_name == github.repository.'
    );
  }
  return (
    'A ${{ secrets.NAME }} or ${{ vars.NAME }} is empty where nothing of that name exists in the repository, organisation ' +
    'or environment of the job, in runs of Dependabot and of pull requests from forks, and in reusable workflows that ' +
    'are called without secrets: inherit.'
  );
}

/** The fork whose pull request started the run. `pull_request_target` runs with the rights of the base. */
function findFork(env: RunnerValues['env'], event: unknown): string | undefined {
  const { head: source } = asObject(asObject(event).pull_request);
  if (!source || !/^pull_request(_review|_review_comment)?$/.test(env['GITHUB_EVENT_NAME'] ?? '')) return undefined;
  // A deleted fork leaves null.
  const head = asString(asObject(asObject(source).repo).full_name) ?? 'since deleted';
  return head.toLowerCase() === env['GITHUB_REPOSITORY']?.toLowerCase() ? undefined : head;
}
