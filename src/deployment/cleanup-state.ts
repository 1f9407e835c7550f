import type { Session } from '../azure/arm-client.ts';
import { isGuid, sameId } from '../azure/resource-id.ts';
import type { CleanupPolicy, ClientCredential, CommonInputs, DeleteInputs } from '../inputs/inputs.ts';
import { validateVmName } from '../inputs/vm-name.ts';
import { isJson, parseJson } from '../lib/json.ts';
import type { WorkflowRun } from '../runner/environment.ts';
import type { LogWriter } from '../runner/log.ts';
import { type DeletionClaim, type RunIdentity, identityTags, repositoryClaim, runIdentityOf } from './ownership.ts';

/** How the main step signed in. The runner may give other inputs to the post step (actions/runner#2030, #3514). */
interface SignInState extends Pick<CommonInputs, 'clientId' | 'tenantId' | 'environment' | 'changeReference'> {
  readonly credential: ClientCredential['kind'];
  readonly audience?: string;
}

/** What the post step needs to clean up. Contains IDs only: any step of the job can read it. */
export interface CleanupStateData {
  readonly operation: 'create' | 'delete';
  readonly deployment: string;
  readonly cleanup: CleanupPolicy;
  readonly signIn: SignInState;
  readonly run: RunIdentity;
  readonly subscriptionId?: string;
  readonly resourceGroup: string;
  /** IDs in the order of their PUTs. Saved before each PUT, in case its response is lost. */
  readonly created: readonly string[];
  /** Those without a response to their PUT yet: they may appear after cleanup has looked for them. */
  readonly pending: readonly string[];
  /** Those whose DELETE was sent after a read had found them: if they are missing then, Azure is not late. */
  readonly deleting: readonly string[];
  /** Resources that turned out to exist when their PUT was sent. */
  readonly notCreated: readonly string[];
  /** True once the operation has ended: then only `cleanup: always` deletes what `create` has created. */
  readonly completed: boolean;
  readonly privateKeyPath?: string;
}

export interface RunContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly log: LogWriter;
}

export type CleanupState = ReturnType<typeof createCleanupState>;

type StateInputs = Omit<CommonInputs, 'timeoutMinutes' | 'summary'> &
  Pick<CleanupStateData, 'operation' | 'cleanup'> &
  Pick<DeleteInputs, 'vmName'>;

/**
 * @param save called at once and after every change; `everCreated` includes resources that were deleted since, `recreated`
 * is one that is about to be created a second time
 */
export function createCleanupState(
  { operation, vmName, cleanup, subscriptionId, resourceGroup, credential, ...inputs }: StateInputs,
  run: RunIdentity,
  save: (entries: CleanupStateData, everCreated: readonly string[], recreated?: string) => void,
) {
  const { clientId, tenantId, environment, changeReference } = inputs;
  const audience = credential.kind === 'oidc' ? credential.audience : undefined;
  const signIn = { clientId, tenantId, environment, credential: credential.kind, audience, changeReference };
  const target = { operation, deployment: vmName, cleanup, signIn, subscriptionId, resourceGroup };
  const lists = { created: [], pending: [], deleting: [], notCreated: [] };
  let entries: CleanupStateData = { ...target, run: runIdentityOf(run), ...lists, completed: false };
  let everCreated: readonly string[] = [];
  let disowned = false;
  const change = (next: Partial<CleanupStateData>, recreated?: string): void => {
    entries = { ...entries, ...next };
    save(entries, everCreated, recreated);
  };
  const without = (ids: readonly string[], id: string) => ids.filter((known) => !sameId(known, id));
  const withId = (ids: readonly string[], id: string) => (ids.some((known) => sameId(known, id)) ? ids : [...ids, id]);
  const remove = (id: string, more: Partial<CleanupStateData> = {}): void =>
    change({ created: without(entries.created, id), pending: without(entries.pending, id), ...more });
  change({});
  return {
    get entries() {
      return entries;
    },
    get claim() {
      return claimOf(entries);
    },
    /** Records a resource before its PUT. */
    addPending(id: string): void {
      if (disowned) return;
      const created = withId(entries.created, id);
      const pending = withId(entries.pending, id);
      if (created === entries.created && pending === entries.pending) return;
      const recreated = created === entries.created ? undefined : everCreated.find((known) => sameId(known, id));
      everCreated = withId(everCreated, id);
      change({ created, pending, deleting: without(entries.deleting, id) }, recreated);
    },
    markAccepted: (id: string) => change({ pending: without(entries.pending, id) }),
    /** Records that the PUT hit an existing resource, which is not this run's to delete. */
    markExisting(id: string): void {
      everCreated = without(everCreated, id);
      remove(id, { notCreated: withId(entries.notCreated, id) });
    },
    /** Records resources before their DELETE. */
    markDeleting: (ids: readonly string[]) => change({ deleting: [...entries.deleting, ...ids] }),
    markDeleted: (id: string) => remove(id),
    /** Forgets a resource whose PUT was rejected and created nothing. */
    discard(id: string): void {
      everCreated = without(everCreated, id);
      remove(id);
    },
    /** Gives up everything recorded and everything still to come: another job creates the same deployment. */
    disown(): void {
      disowned = true;
      everCreated = [];
      change({ created: [], pending: [], cleanup: 'never' });
    },
    keepPrivateKey: (privateKeyPath: string) => change({ privateKeyPath }),
    markCompleted: () => change({ completed: true }),
  };
}

/** What the run that saved this state may delete: `delete` goes by the repository, `create` by the step. */
export function claimOf({ operation, deployment, run, notCreated }: CleanupStateData): DeletionClaim {
  return { ...(operation === 'delete' ? repositoryClaim(deployment, run) : { deployment, owner: run }), notCreated };
}

type Check = RegExp | ((value: unknown) => boolean) | { readonly [field: string]: Check };

function isValid(value: unknown, check: Check): boolean {
  if (check instanceof RegExp) return typeof value === 'string' && check.test(value);
  if (typeof check === 'function') return check(value);
  return isJson(value) && Object.entries(check).every(([name, inner]) => isValid(value[name], inner));
}

const anyText = /^/;
const isGuidText = (value: unknown) => typeof value === 'string' && isGuid(value);
const isIdList = (value: unknown) => Array.isArray(value) && value.every((id) => isValid(id, /^\//));
const isOptional = (check: Check) => (value: unknown) => value === undefined || isValid(value, check);

const checks: Readonly<Record<keyof CleanupStateData, Check>> = {
  operation: /^(create|delete)$/,
  deployment: (value) => typeof value === 'string' && validateVmName(value) === undefined,
  cleanup: /^(never|on-failure|always)$/,
  signIn: {
    clientId: isGuidText,
    tenantId: /^[a-z0-9.-]+$/i,
    environment: (value) =>
      isValid(value, { kind: /^known$/, name: anyText }) ||
      isValid(value, { kind: /^discovered$/, resourceManager: anyText }),
    credential: /^(oidc|secret|certificate)$/,
    audience: isOptional(anyText),
    changeReference: isOptional(anyText),
  },
  run: Object.fromEntries(Object.keys(identityTags).map((field) => [field, anyText])),
  subscriptionId: isOptional(isGuidText),
  resourceGroup: /^[\p{L}\p{N}_().-]{1,90}$/u,
  created: isIdList,
  pending: isIdList,
  deleting: isIdList,
  notCreated: isIdList,
  completed: (value) => typeof value === 'boolean',
  privateKeyPath: isOptional(anyText),
};

/** `damaged`: fields that are missing or invalid; any step of the job could have changed the saved state. */
export function parseCleanupState(
  text: string,
): { state: CleanupStateData; damaged?: undefined } | { damaged: readonly string[]; privateKeyPath?: string } {
  const parsed = parseJson(text);
  if (!isJson(parsed)) return { damaged: ['everything'] };
  const damaged = Object.entries(checks).flatMap(([name, check]) => (isValid(parsed[name], check) ? [] : [name]));
  if (damaged.length === 0) return { state: parsed as unknown as CleanupStateData };
  const { privateKeyPath } = parsed;
  return { damaged, privateKeyPath: typeof privateKeyPath === 'string' ? privateKeyPath : undefined };
}
