import type { ImageReference } from '../azure/resource-id.ts';
import { ActionError } from '../errors/action-error.ts';
import { delay } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { Gallery, GalleryClients, ImageRequest, ImageVersion } from './gallery.ts';

type VersionCheck =
  | { readonly usable: true }
  | { readonly usable: false; readonly why: string; readonly passing: boolean };

function checkVersion(version: ImageVersion, region: string): VersionCheck {
  const state = version.provisioningState;
  const here = version.replication?.get(region);
  const refusal = (why: string, passing: boolean): VersionCheck => ({
    usable: false,
    passing,
    why: `version ${version.name} ${why}`,
  });
  if (state === 'Deleting') return refusal('is being deleted', false);
  if (state === 'Failed') return refusal(`is Failed${here?.details ? ` (${here.details})` : ''}`, false);
  if (state === 'Creating') return refusal('is still being built', true);
  if (!version.replication) {
    // Nothing is said of it although it was asked for: then it goes by what the version is meant for, and where that is not
    // said either, Compute has the word.
    const { targets } = version;
    if (!targets) return { usable: true };
    if (!targets.includes(region))
      return refusal(`is not replicated to ${region} (it is meant for: ${targets.join(', ')})`, false);
    return state === undefined || state === 'Succeeded'
      ? { usable: true }
      : refusal(`is ${state}, and nothing is said of which regions have it already`, true);
  }
  // While a region is being added the version is Updating, and still usable where it is complete.
  if (here?.state === 'Completed') return { usable: true };
  if (!here) {
    const there = [...version.replication]
      .filter(([, { state }]) => state === 'Completed')
      .map(([name]) => name);
    return refusal(
      `is not replicated to ${region} (it is in: ${there.join(', ') || 'no region yet'})`,
      // A region that was just added may not be in the report yet.
      state === 'Updating' && version.targets?.includes(region) === true,
    );
  }
  const progress = here.progress === undefined ? '' : `, ${here.progress} %`;
  return refusal(
    `is ${here.state} in ${region}${progress}${here.details ? ` (${here.details})` : ''}`,
    here.state !== 'Failed',
  );
}

/** Newest by number: 1.10.0 comes after 1.9.0, whenever either was published. */
function compareVersionsDescending(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let part = 0; part < 3; part++) {
    const difference = (right?.[part] ?? 0) - (left?.[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Replication takes minutes to hours: asked after an eighth of the time so far, nothing is found much too late. */
function nextLookDelay(elapsedSeconds: number): number {
  return Math.min(15, Math.max(1, elapsedSeconds / 8));
}

type UnusableVersion = Exclude<VersionCheck, { usable: true }>;

/** One look for the version: the one that is named, or the newest that is usable in the region. */
export async function findUsableVersion(
  gallery: Gallery,
  { image, imageWaitMinutes }: ImageRequest,
  regionPromise: Promise<string>,
): Promise<{ readonly version?: ImageVersion; readonly refusals: readonly UnusableVersion[] }> {
  // Reading needs no region; only judging does. So the first read does not wait for the resource group's.
  if (image.version !== undefined) {
    const version = await gallery.version(image.version);
    const verdict = checkVersion(version, await regionPromise);
    return verdict.usable ? { version, refusals: [] } : { refusals: [verdict] };
  }
  const names = (await gallery.versionNames())
    .filter(({ excluded }) => !excluded)
    .map(({ name }) => name)
    .toSorted(compareVersionsDescending);
  const refusals: UnusableVersion[] = [];
  for (const name of names) {
    const version = await gallery.version(name);
    const verdict = checkVersion(version, await regionPromise);
    if (verdict.usable) return { version, refusals };
    refusals.push(verdict);
    // Asked to wait, "newest" means the one that is on its way, not an older one that happens to be there.
    if (verdict.passing && imageWaitMinutes > 0) return { refusals };
  }
  return { refusals };
}

export function unusableReasons(refusals: readonly UnusableVersion[]): {
  readonly why: string;
  readonly passing: boolean;
} {
  return {
    why:
      refusals.map((refusal) => refusal.why).join('; ') ||
      'no version counts as latest: all are excluded, or there is none',
    passing: refusals.some(({ passing }) => passing),
  };
}

export async function waitForUsableVersion(
  context: GalleryClients,
  gallery: Gallery,
  wanted: ImageRequest,
  regionPromise: Promise<string>,
): Promise<ImageVersion> {
  const { image, imageWaitMinutes } = wanted;
  const start = clockSeconds();
  const deadline = start + imageWaitMinutes * 60;
  let told = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { version, refusals } = await findUsableVersion(gallery, wanted, regionPromise);
    if (version) return version;
    const { why, passing } = unusableReasons(refusals);
    if (!passing || clockSeconds() >= deadline)
      throw noUsableVersionError(image, await regionPromise, why, passing, imageWaitMinutes);
    if (clockSeconds() - told >= 30) {
      told = clockSeconds();
      const minutes = Math.floor((told - start) / 60);
      context.onWaiting(`Waiting for the image, ${minutes} of ${imageWaitMinutes} minutes: ${why}.`);
    }
    const now = clockSeconds();
    const next = nextLookDelay(now - start);
    const untilTold = Math.max(0.1, 30 - (now - told));
    await delay(Math.max(0, Math.min(next, untilTold, deadline - now)), context.signal);
  }
}

export function noUsableVersionError(
  image: ImageReference,
  region: string,
  why: string,
  passing: boolean,
  waited: number,
): ActionError {
  return new ActionError(`choosing the image version from ${image.id}`, {
    message: `No usable version in ${region}: ${why}.`,
    explanation: {
      cause: `A machine can only be made from a version that is complete in its own region, ${region}.`,
      who: 'the owner of the gallery (image tenant)',
      fix: [
        ...(passing
          ? [
              waited > 0
                ? `It was waited for ${waited} minutes: raise \`image-wait-minutes\`.`
                : 'Replication is under way: set `image-wait-minutes` (60, say) to wait for it.',
            ]
          : []),
        'To replicate it:',
        [
          'az sig image-version update',
          ...('subscriptionId' in image ? [`--subscription ${image.subscriptionId}`] : []),
          `-g ${'resourceGroup' in image ? image.resourceGroup : '<resource-group>'}`,
          `-r ${image.gallery} -i ${image.definition} -e ${image.version ?? '<version>'}`,
          `--add publishingProfile.targetRegions name=${region}`,
        ].join(' '),
        'Or deploy to a region that has it (`location`).',
      ],
    },
  });
}
