import { expect, test } from '@jest/globals';
import {
  type Case,
  armError,
  definitionId,
  expectExplained,
  explained,
  imageId,
  named,
} from '../../support/azure-errors.ts';

const cases: readonly Case[] = [
  [
    armError(
      'ParentResourceNotFound',
      "Can not perform requested operation on nested resource. Parent resource 'images/linux' not found.",
      404,
      imageId,
    ),
    'The image does not exist',
    'Image images/linux does not exist in resource group gallery-rg.',
    '-r images -i linux',
  ],
  [
    armError('NotFound', `There is no latest image version exists for "${definitionId}"`, 404),
    'The image definition has no latest version',
    'Image definition linux has no version that counts as the latest.',
  ],
  [
    armError(
      'VMMarketplaceInvalidInput',
      "Unable to deploy from the Marketplace image or a custom image sourced from Marketplace image. The part number in the purchase information for VM '/x/vm-1' is not as expected. Beware that the Plan object's properties are case-sensitive.",
    ),
    'The purchase plan is not that of the image',
    'case-sensitive',
  ],
  [
    armError(
      'InvalidParameter',
      'StorageProfile.dataDisks.lun does not have required value(s) for image specified in storage profile.',
    ),
    'The data disks do not match the image',
    '--query "storageProfile.dataDiskImages[].lun"',
  ],
  [
    armError(
      'BadRequest',
      "The provided gallery image only supports creation of VMs and VM Scale Sets with 'ConfidentialVM' security type.",
    ),
    'The image requires a security type',
    'Image linux 1.0.0 requires security type ConfidentialVM.',
  ],
  [
    armError(
      'BadRequest',
      "Cannot create a VM of size 'Standard_D2ps_v6' because this VM size only supports a CPU Architecture of 'Arm64', but an image or disk with CPU Architecture 'x64' was given. Please check that the CPU Architecture of the image or disk is compatible with that of the VM size.",
    ),
    'The size has another CPU architecture than the image',
    'Standard_D2ps_v6 is Arm64, but the image is x64.',
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));

test('name version and region in the first sentence when the version is not replicated', () => {
  const { cause, fix } = explained(
    armError(
      'GalleryImageNotFound',
      `The gallery image ${imageId} is not available in North Europe region. Please contact image owner to replicate to this region, or change your requested region.`,
      404,
    ),
  );
  expect(cause).toMatch(/^Image linux 1\.0\.0 is not replicated to northeurope, or does not exist\. /);
  expect(fix.join('\n')).toContain('-e 1.0.0 --add publishingProfile.targetRegions name=northeurope');
});
