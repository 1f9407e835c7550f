import type { GalleryImageFeature, ImageReference as VmImageReference } from '@azure/arm-compute';
import type { Definition, Gallery, ImageRequest, ImageVersion } from './gallery.ts';

export type SecurityType = 'Standard' | 'TrustedLaunch' | 'ConfidentialVM';

/** What the machine's shape depends on, read from the gallery before anything is created. */
export interface ResolvedImage {
  /** As the VM request wants it: `id`, `sharedGalleryImageId` or `communityGalleryImageId`. */
  readonly reference: VmImageReference;
  /** The one ID in `reference`: always of one version, never of a definition. */
  readonly referenceId: string;
  /** `Major.Minor.Patch`. */
  readonly version: string;
  readonly osType: 'Linux' | 'Windows';
  readonly osState: 'Generalized' | 'Specialized';
  readonly architecture: 'x64' | 'Arm64';
  /** Undefined where the definition could not be read. */
  readonly generation?: 'V1' | 'V2';
  /** What the machine gets unless the author asks for another. */
  readonly securityType: SecurityType;
  /** The definition's SecurityType feature, as written there. */
  readonly securityFeature?: string;
  /** Disk controllers that the image can boot from, e.g. `SCSI, NVMe`. */
  readonly diskControllers?: string;
  readonly plan?: { readonly name: string; readonly publisher: string; readonly product: string };
  readonly dataDiskLuns: readonly number[];
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

export function toResolvedImage(
  wanted: ImageRequest,
  gallery: Gallery,
  definition: Definition,
  version: ImageVersion,
): ResolvedImage {
  const { whole, ...reference } = gallery.referenceTo(version.name);
  const feature = featureValue(definition.features, 'SecurityType');
  const controllers = featureValue(definition.features, 'DiskControllerTypes');
  const { purchasePlan: plan } = definition;
  const pinned = wanted.image.version === undefined;
  const [endOfLife] = [version.endOfLife, definition.endOfLifeDate]
    // What is missing may also come as null, which the SDK passes on.
    .filter((date) => date instanceof Date)
    .toSorted((one, other) => one.getTime() - other.getTime());
  return {
    reference,
    referenceId: whole,
    version: version.name,
    osType: definition.osType === 'Windows' ? 'Windows' : 'Linux',
    osState: definition.osState === 'Specialized' ? 'Specialized' : 'Generalized',
    architecture: definition.architecture === 'Arm64' ? 'Arm64' : 'x64',
    ...(definition.hyperVGeneration
      ? { generation: definition.hyperVGeneration === 'V1' ? 'V1' : 'V2' }
      : {}),
    securityType: definitionSecurityType(feature),
    ...(feature ? { securityFeature: feature } : {}),
    ...(controllers ? { diskControllers: controllers } : {}),
    ...(plan?.name && plan.publisher && plan.product
      ? { plan: { name: plan.name, publisher: plan.publisher, product: plan.product } }
      : {}),
    dataDiskLuns: version.luns,
    notices: pinned ? [`The newest usable version of ${wanted.image.definition} is ${version.name}.`] : [],
    warnings:
      endOfLife && endOfLife.getTime() < Date.now()
        ? [
            `The image reached its end of life on ${endOfLife.toISOString().slice(0, 10)}; its owner may remove it.`,
          ]
        : [],
  };
}

function featureValue(
  features: readonly GalleryImageFeature[] | undefined,
  name: string,
): string | undefined {
  return features?.find((feature) => feature.name?.toLowerCase() === name.toLowerCase())?.value;
}

/**
 * The API makes plain machines unless told otherwise, so Trusted Launch is asked for wherever the definition allows it,
 * as the portal and the command line do (https://learn.microsoft.com/azure/virtual-machines/trusted-launch).
 */
function definitionSecurityType(feature: string | undefined): SecurityType {
  switch (feature?.toLowerCase()) {
    case 'trustedlaunch':
    case 'trustedlaunchsupported':
    case 'trustedlaunchandconfidentialvmsupported':
      return 'TrustedLaunch';
    case 'confidentialvm':
      return 'ConfidentialVM';
    default:
      return 'Standard';
  }
}
