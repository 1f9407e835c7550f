import { ArmError } from '../../model/arm-error.ts';

/**
 * Azure's limits: 50 tags, names up to 512 characters without `<>%&\?/`, values up to 256.
 *
 * @throws ArmError 400.
 */
export function checkTags(tags: unknown): asserts tags is Record<string, string> {
  if (tags === undefined || tags === null) return;
  if (typeof tags !== 'object' || Array.isArray(tags)) {
    throw new ArmError(400, 'InvalidTags', 'The tags must be an object of strings.', { gateway: true });
  }
  const entries = Object.entries(tags);
  if (entries.length > 50) {
    throw new ArmError(
      400,
      'InvalidTagsCount',
      `The number of tags '${entries.length}' on resource exceeds the maximum allowed '50'.`,
      { gateway: true },
    );
  }
  for (const [name, value] of entries) {
    if (name === '' || name.length > 512 || /[<>%&\\?/]/.test(name)) {
      throw new ArmError(
        400,
        'InvalidTagNameCharacters',
        `The tag names '${name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.`,
        { gateway: true },
      );
    }
    if (typeof value !== 'string' || value.length > 256) {
      throw new ArmError(
        400,
        'InvalidTagValueLength',
        `Tag value too large. Following tag value '${String(value)}' exceeded the maximum length. Maximum allowed length for tag value - '256' characters.`,
        { gateway: true },
      );
    }
  }
}
