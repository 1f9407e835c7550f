import { ActionError } from '../errors/errors.ts';
import { delay } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { Gallery, GalleryClients, ImageRequest, ImageVersion } from './gallery.ts';
import { shellCommand } from '../lib/escape.ts';

/** `temporary`: it may become usable without a change, because it is being built or replicated. */
const unusable = ({ name }: ImageVersion, state: string, temporary = false) => {
  return { version: name, reason: `version ${name} ${state}`, temporary };
};

type UnusableVersion = ReturnType<typeof unusable>;

function findObstacle(version: ImageVersion, region: string): UnusableVersion | undefined {
  const details = version.replication?.get(region)?.details;
  const { provisioningState: state = 'Succeeded' } = version;
  if (state === 'Deleting') return unusable(version, 'is being deleted');
  if (state === 'Failed') return unusable(version, `is Failed${details ? ` (${details})` : ''}`);
  if (state === 'Creating') return unusable(version, 'is still being built', true);
  if (version.replication) return findReplicationObstacle(version, region);
  // Without a replication report, the target regions decide; without those, Compute does when the VM is created.
  const { targets } = version;
  if (!targets) return undefined;
  if (!targets.includes(region)) {
    return unusable(version, `is not replicated to ${region} (its target regions: ${targets.join(', ')})`);
  }
  if (state === 'Succeeded') return undefined;
  return unusable(version, `is ${state}, and Azure does not report which regions are complete`, true);
}

function findReplicationObstacle(version: ImageVersion, region: string): UnusableVersion | undefined {
  const { replication = new Map<string, never>() } = version;
  const here = replication.get(region);
  if (!here) {
    const completed = [...replication].flatMap(([name, { state }]) => (state === 'Completed' ? [name] : []));
    // A region that was just added may not be in the report yet.
    const isBeingAdded = version.provisioningState === 'Updating' && version.targets?.includes(region) === true;
    const regions = completed.join(', ') || 'no region yet';
    return unusable(version, `is not replicated to ${region} (it is in: ${regions})`, isBeingAdded);
  }
  // While another region is being added, the version is Updating and still usable where it is complete.
  if (here.state === 'Completed') return undefined;
  const progress = here.progress === undefined ? '' : `, ${here.progress} %`;
  const details = here.details ? ` (${here.details})` : '';
  return unusable(version, `is ${here.state} in ${region}${progress}${details}`, here.state !== 'Failed');
}

export async function findUsableVersion(
  gallery: Gallery,
  { image, imageWaitMinutes }: ImageRequest,
  regionPromise: Promise<string>,
): Promise<{ readonly version?: ImageVersion; readonly unusable: readonly UnusableVersion[] }> {
  const candidates: readonly ImageVersion[] =
    image.version === undefined ? await gallery.versions() : [{ name: image.version }];
  const rejected: UnusableVersion[] = [];
  // By number: 1.10.0 is newer than 1.9.0, regardless of when they were published.
  const newestFirst = candidates.toSorted((a, b) => b.name.localeCompare(a.name, 'en', { numeric: true }));
  for (const listed of newestFirst) {
    const { name, targets, provisioningState } = listed;
    // A replication report adds nothing: the version's write, which covers all targets, has succeeded, or none is here.
    const isDecided = targets && (provisioningState === 'Succeeded' || !targets.includes(await regionPromise));
    const version = isDecided ? listed : await gallery.version(name);
    const region = await regionPromise;
    const obstacle = version
      ? findObstacle(version, region)
      : { version: name, reason: `the gallery has no version ${name} in ${region}`, temporary: false };
    if (!obstacle) return { version, unusable: rejected };
    rejected.push(obstacle);
    // With `image-wait-minutes`, "newest" includes a version that is still replicating.
    if (obstacle.temporary && imageWaitMinutes > 0) break;
  }
  return { unusable: rejected };
}

/** @throws ActionError when no version is usable within `imageWaitMinutes`. */
export async function waitForUsableVersion(
  { onWaiting, signal }: Pick<GalleryClients, 'onWaiting' | 'signal'>,
  gallery: Gallery,
  request: ImageRequest,
  region: Promise<string>,
): Promise<ImageVersion> {
  const start = clockSeconds();
  const deadline = start + request.imageWaitMinutes * 60;
  let lastLogged = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { version, unusable: rejected } = await findUsableVersion(gallery, request, region);
    if (version) return version;
    const now = clockSeconds();
    if (!rejected.some(({ temporary }) => temporary) || now >= deadline) {
      throw noUsableVersionError(request, await region, rejected, request.imageWaitMinutes);
    }
    if (now - lastLogged >= 30) {
      lastLogged = now;
      const minutes = Math.floor((now - start) / 60);
      const reasons = rejected.map(({ reason }) => reason).join('; ');
      onWaiting(`Waiting for the image, ${minutes} of ${request.imageWaitMinutes} minutes: ${reasons}.`);
    }
    // Replication takes minutes to hours; waiting an eighth of the time so far bounds the delay.
    const next = Math.min(15, Math.max(1, (now - start) / 8));
    const untilNextLine = Math.max(0.1, 30 - (now - lastLogged));
    await delay(Math.max(0, Math.min(next, untilNextLine, deadline - now)), signal);
  }
}

/** @param waitedMinutes how long this run waited before it gave up. */
export function noUsableVersionError(
  { image }: Pick<ImageRequest, 'image'>,
  region: string,
  rejected: readonly UnusableVersion[],
  waitedMinutes: number,
): ActionError {
  const reasons = rejected.map(({ reason }) => reason).join('; ');
  const version = image.version ?? rejected[0]?.version ?? '<version>';
  const subscription = 'subscriptionId' in image ? ['--subscription', image.subscriptionId] : [];
  const group = 'resourceGroup' in image ? image.resourceGroup : '<resource-group>';
  const waitFix =
    waitedMinutes > 0
      ? `This step waited ${waitedMinutes} min; raise \`image-wait-minutes\`, and \`timeout-minutes\` with it.`
      : 'Replication is in progress: set `image-wait-minutes` (for example 30, less than `timeout-minutes`).';
  return new ActionError(`choosing the image version from ${image.id}`, {
    message: `No usable version in ${region}: ${reasons || 'every version is excluded from latest, or there is none'}.`,
    reason: `A VM can only be created from a version that is completely replicated to its region, ${region}.`,
    who: 'the owner of the gallery, in the image tenant',
    fix: [
      ...(rejected.some(({ temporary }) => temporary) ? [waitFix] : []),
      `To replicate version ${version} there:`,
      shellCommand`az sig image-version update ${subscription} -g ${group} -r ${image.gallery} -i ${image.definition} -e ${version} --add publishingProfile.targetRegions ${`name=${region}`}`,
      'Or deploy to a region that has it (`location`).',
    ],
  });
}
