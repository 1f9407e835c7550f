import type { Environment } from '../azure/clouds.ts';
import { isGuid } from '../azure/resource-id.ts';
import { validateClientCertificate } from '../lib/pem.ts';
import { Reader, type RunnerValues } from './input-reader.ts';
import {
  type ClientCredential,
  type CommonInputs,
  type InputIssue,
  type InputName,
  type Inputs,
  InvalidInputs,
  inputNames,
} from './inputs.ts';
import { explainEmptyInput, maskSecrets } from './mask-secrets.ts';
import { maxJobMinutes, readDeployment, readImageInput } from './read-deployment.ts';
import { givenVmName, validateVmName } from './vm-name.ts';

/**
 * Ignores the inputs of other operations, because steps often share one block of inputs. Secrets are masked first.
 * @throws InvalidInputs with every mistake in all inputs
 */
export function readInputs(get: (name: string) => string, runner: RunnerValues): Inputs {
  const reader = new Reader(get);
  maskSecrets(get, runner.mask);
  const operation = reader.oneOf('operation', ['create', 'check', 'delete', 'sweep', 'list']) ?? 'create';
  const operationIsLegal = reader.issues.length === 0;
  const common = readCommon(reader, runner);
  let inputs: Inputs | undefined;
  if (operation === 'delete') {
    inputs = { operation, ...common, vmName: readGivenVmName(reader) };
  } else if (operation === 'list') {
    inputs = { operation, ...common, image: readImageInput(reader, reader.text('image-id') ?? '') };
  } else if (operation === 'sweep') {
    inputs = { operation, ...common, githubToken: reader.text('github-token') };
  } else if (operationIsLegal) {
    inputs = readDeployment(reader, runner, operation, common);
  }
  if (inputs === undefined || reader.issues.length > 0) {
    const place = ({ input }: InputIssue) => inputNames.indexOf(input as InputName);
    const inOrder = reader.issues.toSorted((one, other) => place(one) - place(other));
    throw new InvalidInputs(inOrder, reader.missing ? explainEmptyInput(runner) : undefined);
  }
  return inputs;
}

function readCommon(reader: Reader, runner: RunnerValues): CommonInputs {
  const clientId = reader.required('client-id') && reader.guid('client-id');
  const tenantId = reader.tenant('tenant-id', reader.required('tenant-id'));
  const resourceGroup = reader.required('resource-group');
  const groupName = /^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$/u;
  const groupRule = 'a name of 1 to 90 letters, digits, _ - . ( ) that does not end in a period';
  reader.pattern('resource-group', groupName, groupRule);
  return {
    clientId: clientId ?? '',
    credential: readClientCredential(reader, runner.env),
    tenantId,
    environment: readEnvironment(reader),
    subscriptionId: reader.guid('subscription-id'),
    changeReference: reader.text('change-reference'),
    resourceGroup,
    timeoutMinutes: reader.minutes('timeout-minutes', maxJobMinutes),
    summary: reader.boolean('summary'),
  };
}

function readClientCredential(reader: Reader, env: RunnerValues['env']): ClientCredential {
  const secret = reader.text('client-secret');
  const pem = reader.raw('client-certificate');
  if (secret !== undefined && pem !== undefined) {
    reader.addIssue('client-certificate', 'excludes client-secret: give one of the two.');
  }
  if (pem !== undefined) {
    for (const message of validateClientCertificate(pem, new Date()))
      reader.addIssue('client-certificate', `${message}.`);
    return { kind: 'certificate', pem };
  }
  if (secret !== undefined) {
    const misuse = secretMisuse(secret);
    if (misuse) reader.addIssue('client-secret', misuse);
    return { kind: 'secret', secret };
  }
  if (!env['ACTIONS_ID_TOKEN_REQUEST_URL']) {
    reader.addMissing(
      'client-secret',
      "is missing or arrived empty, and so is client-certificate. The job's OIDC token cannot stand in for them, " +
        'because the job may not ask for one: it lacks permissions: id-token: write.',
    );
  }
  return { kind: 'oidc', audience: reader.text('audience') };
}

/** Slips that Entra would answer with AADSTS7000215 only: https://learn.microsoft.com/entra/identity-platform/quickstart-register-app */
function secretMisuse(secret: string): string | undefined {
  if (isGuid(secret)) return "is a GUID: give the secret's value, not its ID.";
  if (/^\{[\s\S]*\}$/.test(secret)) return 'is a JSON object: give the value of clientSecret alone.';
  if (/^(["'`]).*\1$/s.test(secret)) return 'is enclosed in quotes: give the value without them.';
  return undefined;
}

function readEnvironment(reader: Reader): Environment {
  const text = reader.text('environment') ?? '';
  const cloudNames = ['azurecloud', 'azureusgovernment', 'azurechinacloud'] as const;
  const name = cloudNames.find((cloud) => cloud === text.toLowerCase());
  if (name !== undefined) return { kind: 'known', name };
  const url = URL.parse(text);
  if (url?.protocol !== 'https:' || url.href !== `${url.origin}/`) {
    const legal = `${cloudNames.join(', ')}, or the https URL of a Resource Manager endpoint without a path`;
    reader.addInvalid('environment', text, `is none of: ${legal}`);
  }
  return { kind: 'discovered', resourceManager: url?.origin ?? '' };
}

/** For `delete`: a default would name a VM that this step has not created. */
function readGivenVmName(reader: Reader): string {
  const name = givenVmName(reader.text('vm-name'));
  if (name !== undefined) return reader.validated('vm-name', name, validateVmName);
  reader.addIssue(
    'vm-name',
    'is required to delete: pass the name of the deployment, e.g. ${{ steps.<id>.outputs.vm-name }} of the step that created it.',
  );
  return '';
}
