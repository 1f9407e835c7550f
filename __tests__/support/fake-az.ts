/**
 * Stands for the Azure CLI in the tests of scripts/setup.sh: answers from a state, through the very `--query` and `--output`
 * that were given. It knows the commands that the script uses and refuses all others.
 *
 * The `az` on the script's PATH only hands its arguments over a socket: one Node process per call would take a minute.
 */
import { readFileSync } from 'node:fs';
import jmespath from 'jmespath';

export interface AzureState {
  tenant: string;
  /** Subscription ID → tenant; the first one is the default. */
  subscriptions: Record<string, string>;
  cloud?: string;
  apps: {
    appId: string;
    displayName: string;
    signInAudience: string;
    web: { redirectUris: string[] };
    secrets: { displayName: string; endDateTime: string }[];
    certificates: { keyId: string; customKeyIdentifier: string }[];
    federated: { name: string; issuer: string; subject: string; audiences: string[] }[];
  }[];
  servicePrincipals: { appId: string; id: string }[];
  roleAssignments: { principal: string; role: string; scope: string; condition?: string }[];
  roleDefinitions: { Name: string; Actions: string[]; AssignableScopes: string[] }[];
  groups: Record<string, string>;
  providers: Record<string, string>;
  /** So many times a new principal is not known yet. */
  unknownPrincipal?: number;
}

function answer(
  words: string,
  option: (name: string) => string,
  list: (name: string) => string[],
  state: AzureState,
): unknown {
  const app = () => {
    const found = state.apps.find(({ appId }) => appId === option('--id'));
    if (!found) throw new Error(`Resource '${option('--id')}' does not exist`);
    return found;
  };
  const filtered = (field: string) => new RegExp(`^${field} eq '(.*)'$`).exec(option('--filter'))?.[1];
  const isAssignable = ({ AssignableScopes: scopes }: AzureState['roleDefinitions'][number]): boolean =>
    scopes.includes(`/subscriptions/${option('--subscription')}`);
  switch (words) {
    case 'cloud show':
      return { name: state.cloud ?? 'AzureCloud' };
    case 'account show': {
      const id = option('--subscription') || Object.keys(state.subscriptions)[0] || '';
      const tenantId = state.subscriptions[id];
      if (tenantId === undefined) throw new Error(`Subscription '${id}' not found.`);
      return { id, tenantId };
    }
    case 'account list':
      return Object.entries(state.subscriptions).map(([id, tenantId]) => ({ id, tenantId }));
    case 'ad app list':
      return state.apps.filter(({ displayName }) => displayName === filtered('displayName'));
    case 'ad app show':
      return app();
    case 'ad app create': {
      const created = {
        appId: '7c9d0c52-3f5b-4a84-9e0e-5b2f4d6a8c10',
        displayName: option('--display-name'),
        signInAudience: option('--sign-in-audience'),
        web: { redirectUris: list('--web-redirect-uris') },
        secrets: [],
        certificates: [],
        federated: [],
      };
      state.apps.push(created);
      return created;
    }
    case 'ad app update':
      app().signInAudience = option('--sign-in-audience') || app().signInAudience;
      // The option replaces what there was.
      if (option('--web-redirect-uris')) app().web.redirectUris = list('--web-redirect-uris');
      return undefined;
    case 'ad app federated-credential list':
      return app().federated;
    case 'ad app federated-credential create': {
      const given = JSON.parse(option('--parameters')) as AzureState['apps'][number]['federated'][number];
      if (!/^[A-Za-z0-9][\w-]{2,119}$/.test(given.name)) throw new Error(`bad name ${given.name}`);
      if (app().federated.some(({ name }) => name === given.name)) throw new Error('name is taken');
      app().federated.push(given);
      return given;
    }
    case 'ad app credential list':
      return option('--cert') ? app().certificates : app().secrets;
    case 'ad app credential reset': {
      if (!option('--append')) throw new Error('this would delete every other credential');
      if (option('--cert')) {
        if (!option('--cert').startsWith('@')) throw new Error('not a file');
        app().certificates.push({
          keyId: 'key',
          customKeyIdentifier: readFileSync(option('--cert').slice(1, -4), 'utf8').trim(),
        });
      } else {
        app().secrets.push({
          displayName: option('--display-name'),
          endDateTime: '2027-11-22T00:00:00Z',
        });
      }
      return { password: 'made-by-azure' };
    }
    case 'ad sp list':
      return state.servicePrincipals.filter(({ appId }) => appId === filtered('appId'));
    case 'ad sp create': {
      const created = { appId: option('--id'), id: '0b1c2d3e-0000-4000-8000-000000000001' };
      state.servicePrincipals.push(created);
      return created;
    }
    case 'role assignment list':
      // The real one refuses a role that is not there.
      if (option('--role')) throw new Error(`role '${option('--role')}' may not exist`);
      return state.roleAssignments
        .filter(({ principal, scope }) => principal === option('--assignee') && scope === option('--scope'))
        .map(({ role, scope, condition }) => ({
          id: `${scope}/providers/Microsoft.Authorization/roleAssignments/1`,
          roleDefinitionName: role,
          roleDefinitionId: `/providers/Microsoft.Authorization/roleDefinitions/${role}`,
          condition: condition ?? null,
        }));
    case 'role assignment create': {
      if (!option('--scope').startsWith(`/subscriptions/${option('--subscription')}/`)) {
        throw new Error(`the scope is not in subscription ${option('--subscription')}`);
      }
      if (state.unknownPrincipal) {
        state.unknownPrincipal -= 1;
        throw new Error('PrincipalNotFound');
      }
      const custom = state.roleDefinitions.find(({ Name }) => Name === option('--role'));
      if (custom && !isAssignable(custom)) throw new Error(`Role '${option('--role')}' doesn't exist.`);
      const condition = option('--condition');
      if (condition && option('--condition-version') !== '2.0') throw new Error('no condition version');
      state.roleAssignments.push({
        principal: option('--assignee-object-id'),
        role: option('--role'),
        scope: option('--scope'),
        ...(condition ? { condition } : {}),
      });
      return undefined;
    }
    case 'role definition list':
      return state.roleDefinitions
        .filter((role) => role.Name === option('--name') && isAssignable(role))
        .map(({ Name, Actions, AssignableScopes }) => ({
          roleName: Name,
          permissions: [{ actions: Actions }],
          assignableScopes: AssignableScopes,
        }));
    case 'role definition create':
    case 'role definition update': {
      const given = JSON.parse(option('--role-definition')) as AzureState['roleDefinitions'][number];
      const known = state.roleDefinitions.find(({ Name }) => Name === given.Name);
      if (words.endsWith('create') && known) throw new Error('RoleDefinitionWithSameNameExists');
      // It is looked for in the scopes that it is to have, and cannot be taken away where it may be assigned.
      if (words.endsWith('update') && !known?.AssignableScopes.every((each) => given.AssignableScopes.includes(each))) {
        throw new Error('No definition was found, or RoleDefinitionHasAssignments');
      }
      state.roleDefinitions = [...state.roleDefinitions.filter(({ Name }) => Name !== given.Name), given];
      return undefined;
    }
    case 'group exists':
      return option('--name') in state.groups;
    case 'group create':
      state.groups[option('--name')] = option('--location');
      return undefined;
    case 'provider show':
      return { registrationState: state.providers[option('--namespace')] ?? 'NotRegistered' };
    case 'provider register':
      state.providers[option('--namespace')] = 'Registered';
      return undefined;
  }
  throw new Error(`'${words}' is not a command that the script is known to use`);
}

/** As `--output tsv` writes it: one line per element, nothing for null. */
function tsv(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map((each) => `${tsv(each).trimEnd()}\n`).join('');
  return `${typeof value === 'string' ? value : JSON.stringify(value)}\n`;
}

/** What the command prints. Throws what it would fail with. */
export function az(args: readonly string[], state: AzureState): string {
  const first = args.findIndex((each) => each.startsWith('-'));
  const words = args.slice(0, first < 0 ? undefined : first).join(' ');
  const option = (name: string): string => {
    const at = args.indexOf(name);
    if (at < 0) return '';
    const next = args[at + 1];
    return next === undefined || next.startsWith('--') ? 'true' : next;
  };
  const list = (name: string): string[] => {
    const at = args.indexOf(name);
    const rest = at < 0 ? [] : args.slice(at + 1);
    const end = rest.findIndex((each) => each.startsWith('--'));
    return rest.slice(0, end < 0 ? undefined : end);
  };
  const full = answer(words, option, list, state);
  const query = option('--query');
  const told = query ? (jmespath.search(full, query) as unknown) : full;
  if (option('--output') === 'none') return '';
  return option('--output') === 'tsv' || !query ? tsv(told) : JSON.stringify(told);
}
