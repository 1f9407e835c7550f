/** Judges every write of several runs right before Azure handles it: may this run change or delete this resource? */
import type { Exchange } from '../../simulator/engine/journal.ts';
import type { Simulator } from '../../simulator/index.ts';

export interface Actor {
  readonly operation: 'create' | 'delete' | 'sweep';
  readonly deployment: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of a create: its post step deletes the whole deployment. */
  readonly deletesAll?: boolean;
}

type Tags = Readonly<Record<string, string>> | undefined;

interface Look {
  readonly order: number;
  readonly path: string;
  readonly exchange: Exchange;
  readonly tags: Tags;
}

const repositoryTags = ['SERVER_URL', 'REPOSITORY'];
const stepTags = [...repositoryTags, 'RUN_ID', 'RUN_ATTEMPT', 'JOB', 'ACTION'];

function agrees({ env }: Actor, tags: Tags, names: readonly string[]): boolean {
  return names.every((name) => tags?.[`github-${name.toLowerCase().replace('_', '-')}`] === env[`GITHUB_${name}`]);
}

function isOfRepository(actor: Actor, tags: Tags): boolean {
  const isDeployment = actor.operation === 'sweep' || tags?.['cross-tenant-vm'] === actor.deployment;
  return isDeployment && agrees(actor, tags, repositoryTags);
}

/** Whether the tags name this step of this run and its deployment. */
export function isOfStep(actor: Actor, tags: Tags): boolean {
  return isOfRepository(actor, tags) && agrees(actor, tags, stepTags);
}

function claims(actor: Actor, tags: Tags): boolean {
  return actor.operation === 'create' ? isOfStep(actor, tags) : isOfRepository(actor, tags);
}

/** Other jobs of one run never adopt each other's deployment. */
function mayAdopt(actor: Actor, tags: Tags): boolean {
  const isOtherJob = agrees(actor, tags, ['RUN_ID']) && !agrees(actor, tags, ['JOB']);
  return isOfRepository(actor, tags) && !isOtherJob;
}

/** The tags in the description of a role assignment. */
export function describedTags(description: string | undefined): Tags {
  if (!description?.startsWith('cross-tenant-vm=')) return undefined;
  return Object.fromEntries(description.split('; ').map((part) => part.split(/=(.*)/s).slice(0, 2)));
}

function processOf({ requestHeaders }: Exchange): string {
  return requestHeaders['x-ms-correlation-request-id'] ?? '';
}

export class OwnershipWatch {
  readonly violations: string[] = [];
  /** Lower-cased IDs of what changed between a run's last look and its write: Azure has no condition to exclude that. */
  readonly changedInGap = new Set<string>();
  /** By lower-cased ID: the run whose PUT created it. */
  readonly creators = new Map<string, Actor>();
  /** Lower-cased IDs of what is being deleted. */
  readonly deleting = new Set<string>();
  readonly #sim: Simulator;
  readonly #actors = new Map<string, Actor>();
  /** By correlation ID: a cancelled step and its post step may delete the same resource at the same time. */
  readonly #looks = new Map<string, Look[]>();
  /** By lower-cased ID: when it was created or its tags were last changed, by anybody. */
  readonly #changed = new Map<string, number>();
  #order = 0;

  constructor(sim: Simulator) {
    this.#sim = sim;
  }

  /** Learns the correlation ID of a process, which it logs before its first request. */
  readLine(actor: Actor, line: string): void {
    const correlation = /^Correlation ID of all requests of this run: (\S+)/.exec(line)?.[1];
    if (correlation) this.#actors.set(correlation, actor);
  }

  noteChange(id: string): void {
    this.#changed.set(id.toLowerCase(), ++this.#order);
  }

  /** @returns who sent the request */
  senderOf({ method, path, requestHeaders }: Exchange): Actor | undefined {
    const correlation = requestHeaders['x-ms-correlation-request-id'];
    const actor = this.#actors.get(correlation ?? '');
    if (correlation && !actor) this.violations.push(`no process has logged the correlation ID of ${method} ${path}`);
    return actor;
  }

  /** To be called when nothing else can happen before Azure handles the request. */
  judge(actor: Actor, exchange: Exchange): void {
    const path = exchange.path.toLowerCase().replace(/\/providers\/microsoft\.resources\/tags\/default$/, '');
    const { method } = exchange;
    if (method === 'GET') this.#look(path, exchange);
    if (method === 'DELETE') this.#judgeDelete(actor, path, exchange);
    if (method === 'PUT') this.#judgePut(actor, path, exchange);
    if (method === 'PATCH') this.#judgePatch(actor, path, exchange);
  }

  tagsOf(id: string): Tags {
    const { resources, roleAssignments } = this.#sim.world;
    const assignment = roleAssignments.find((each) => each.id.toLowerCase() === id.toLowerCase());
    return assignment ? describedTags(assignment.description) : resources.get(id)?.body['tags'];
  }

  #look(path: string, exchange: Exchange): void {
    const tags = this.tagsOf(path);
    const look = { order: ++this.#order, path, exchange, tags: tags && { ...tags } };
    this.#looks.set(processOf(exchange), [...this.#looksOf(exchange), look]);
  }

  /** What the process that sends this request has read. */
  #looksOf(exchange: Exchange): readonly Look[] {
    return this.#looks.get(processOf(exchange)) ?? [];
  }

  #lastLook(sent: Exchange, covers: (path: string) => boolean): Look | undefined {
    return this.#looksOf(sent).findLast(({ path, exchange }) => exchange.status === 200 && covers(path));
  }

  #violate(actor: Actor, what: string, id: string): void {
    this.violations.push(
      `${actor.operation} of ${actor.deployment} by ${Object.values(actor.env).join(' ')} ${what}: ${id}`,
    );
  }

  /** The last read before a write of the same resource. Each write needs its own. */
  #takeLook(exchange: Exchange, id: string): Look | undefined {
    const looks = this.#looksOf(exchange);
    const [own, others] = [looks.filter(({ path }) => path === id), looks.filter(({ path }) => path !== id)];
    this.#looks.set(processOf(exchange), others);
    return own.at(-1);
  }

  /** The parts of a VM are read before the VM, and again together with it. */
  #lookBeforeDelete(exchange: Exchange, id: string): Look | undefined {
    const looks = this.#looksOf(exchange);
    const look = this.#takeLook(exchange, id);
    const isStale = this.#deletedWith(id).some((part) => {
      const first = looks.find(({ path }) => path === part.toLowerCase());
      return first && first.order > (look?.order ?? 0);
    });
    return look?.exchange.status === 200 && !isStale ? look : undefined;
  }

  #judgeDelete(actor: Actor, id: string, exchange: Exchange): void {
    const look = this.#lookBeforeDelete(exchange, id);
    if (!look) return this.#violate(actor, 'deleted without a look right before', id);
    const holder = this.#holderOf(id);
    if (/\/roleassignments\//.test(id)) {
      if (!isOfRepository(actor, look.tags)) this.#violate(actor, 'deleted what is not its own', id);
      const isHeldByOther = holder && this.tagsOf(holder)?.['cross-tenant-vm'] && !claims(actor, this.tagsOf(holder));
      const holderPath = holder?.toLowerCase() ?? '';
      // The two are read at the same time (ownership.test.ts), in either order.
      const holderLook = this.#lastLook(exchange, (path) => path === holderPath) ?? look;
      const isChanged = (this.#changed.get(holderPath) ?? 0) > holderLook.order;
      if (isHeldByOther && !isChanged) this.#violate(actor, `deleted a role assignment of ${holder}`, id);
      if (!holder && !claims(actor, look.tags)) this.#violate(actor, 'deleted what is not its own', id);
      return;
    }
    for (const each of [id, ...this.#deletedWith(id)]) this.deleting.add(each.toLowerCase());
    if (!claims(actor, look.tags)) this.#violate(actor, 'deleted what is not its own', id);
    else if (!claims(actor, this.tagsOf(id))) this.changedInGap.add(id);
    for (const part of this.#deletedWith(id)) {
      const seen = this.#lastLook(exchange, (path) => path === part.toLowerCase()) ?? look;
      // The disks of a VM follow it, whichever run of the repository has updated their tags.
      const mayGo = /\/disks\//i.test(part) ? isOfRepository : claims;
      if (!this.#sim.world.resources.has(part)) continue;
      // A run that adopts what another has created gives it its own tags.
      const isAdopted = this.creators.get(part.toLowerCase()) !== actor && !/\/disks\//i.test(part);
      if (isAdopted && actor.operation === 'create' && !actor.deletesAll)
        this.#violate(actor, `deleted with ${id} what it has adopted`, part);
      if (mayGo(actor, this.tagsOf(part))) continue;
      const isChanged = (this.#changed.get(part.toLowerCase()) ?? 0) > seen.order;
      if (isChanged) this.changedInGap.add(part.toLowerCase());
      else this.#violate(actor, `deleted with ${id} what is not its own`, part);
    }
  }

  #judgePut(actor: Actor, id: string, exchange: Exchange): void {
    // Azure gives the name of a role assignment that exists to no other principal.
    if (/\/roleassignments\/|\/resourcegroups\/[^/]+$/.test(id)) return;
    const existing = this.#sim.world.resources.get(id);
    const isConditional = exchange.requestHeaders['if-none-match'] === '*';
    const isFirst = /\/(?:networksecuritygroups|publicipaddresses)\/[^/]+$/.test(id);
    const list = isFirst ? this.#lastLook(exchange, (path) => path.endsWith('/resources')) : undefined;
    const look = this.#takeLook(exchange, id) ?? list;
    // The names of run commands are unique to the run; a VM that failed is this run's own.
    const needsLook = !isConditional && !/\/(?:virtualmachines|runcommands)\/[^/]+$/.test(id);
    if (needsLook && !look) this.#violate(actor, 'wrote without a look right before', id);
    if (!existing) {
      this.creators.set(id, actor);
      this.deleting.delete(id);
      return this.noteChange(id);
    }
    if (isConditional || mayAdopt(actor, this.tagsOf(id))) return;
    const isNew = (this.#changed.get(id) ?? 0) > (look?.order ?? 0);
    if (isNew) this.changedInGap.add(id);
    else this.#violate(actor, 'overwrote', id);
  }

  #judgePatch(actor: Actor, id: string, exchange: Exchange): void {
    const look = this.#lastLook(exchange, (path) => path === id);
    if ((this.#changed.get(id) ?? 0) > (look?.order ?? 0)) this.changedInGap.add(id);
    const isAllowed = actor.operation === 'create' ? mayAdopt : claims;
    if (!look || !isAllowed(actor, look.tags)) this.#violate(actor, 'changed', id);
    this.noteChange(id);
  }

  /** The identity or VM that holds a role assignment. */
  #holderOf(assignmentId: string): string | undefined {
    const { roleAssignments, resources } = this.#sim.world;
    const principal = roleAssignments.find(({ id }) => id.toLowerCase() === assignmentId)?.principalId;
    if (principal === undefined) return undefined;
    return [...resources.all()].find(
      ({ body }) => body['properties']?.principalId === principal || body['identity']?.principalId === principal,
    )?.id;
  }

  /** What Azure deletes with a VM. */
  #deletedWith(id: string): string[] {
    const { resources } = this.#sim.world;
    const { networkProfile, storageProfile } = resources.get(id)?.body['properties'] ?? {};
    const nics: string[] = (networkProfile?.networkInterfaces ?? [])
      .filter((nic: any) => nic.properties?.deleteOption === 'Delete')
      .map((nic: any) => nic.id);
    const disks: string[] = [storageProfile?.osDisk, ...(storageProfile?.dataDisks ?? [])]
      .filter((disk: any) => disk?.deleteOption === 'Delete' && disk.managedDisk?.id)
      .map((disk: any) => disk.managedDisk.id);
    const addresses = nics.flatMap((nic) =>
      (resources.get(nic)?.body['properties'].ipConfigurations ?? [])
        .map((each: any) => each.properties?.publicIPAddress)
        .filter((address: any) => address?.properties?.deleteOption === 'Delete')
        .map((address: any) => address.id),
    );
    return [...nics, ...disks, ...addresses];
  }
}
