import type { Json } from './contract.ts';

/** An error answer of Resource Manager or a provider: `{error: {code, message, target?, details?}}`. */
export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly target: string | undefined;
  readonly details: readonly Json[] | undefined;
  readonly additionalInfo: readonly Json[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** True for errors of the gateway rather than of a provider (`x-ms-failure-cause: gateway`). */
  readonly gateway: boolean;
  /** True for Compute's throttling errors, which have no outer `error` object. */
  readonly bare: boolean;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      target?: string;
      details?: readonly Json[];
      additionalInfo?: readonly Json[];
      headers?: Readonly<Record<string, string>>;
      gateway?: boolean;
      bare?: boolean;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.target = more.target;
    this.details = more.details;
    this.additionalInfo = more.additionalInfo;
    this.headers = more.headers ?? {};
    this.gateway = more.gateway ?? false;
    this.bare = more.bare ?? false;
  }

  body(): Json {
    const error: Json = { code: this.code, message: this.message };
    if (this.target !== undefined) error['target'] = this.target;
    if (this.details !== undefined) error['details'] = this.details;
    if (this.additionalInfo !== undefined) error['additionalInfo'] = this.additionalInfo;
    return this.bare ? error : { error };
  }
}

/** An error of a provider: `refuse(400, 'InvalidParameter', '…', { target: 'adminUsername' })`. */
export function refuse(
  status: number,
  code: string,
  message: string,
  more: { target?: string; details?: readonly Json[]; headers?: Readonly<Record<string, string>> } = {},
): ArmError {
  return new ArmError(status, code, message, more);
}

/** An error of Microsoft.Network. Recorded: these have an empty `details`. */
export function refuseNetwork(code: string, message: string, status = 400): ArmError {
  return new ArmError(status, code, message, { details: [] });
}

/** 404 ResourceNotFound of the gateway. */
export function resourceNotFound(id: string): ArmError {
  const [, group = '', what = ''] = /\/resourceGroups\/([^/]+)\/providers\/(.+)$/i.exec(id) ?? [];
  return new ArmError(
    404,
    'ResourceNotFound',
    `The Resource '${what}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    { gateway: true },
  );
}

/** 404 for a child resource without parent; `parent` is `gallery/definition`. */
export function parentNotFound(parent: string): ArmError {
  return new ArmError(
    404,
    'ParentResourceNotFound',
    `Can not perform requested operation on nested resource. Parent resource '${parent}' not found.`,
    { gateway: true },
  );
}

/**
 * 501 for behavior that was not recorded or documented: no answer is better than a guess. `what` completes the
 * sentence "The simulator does not know: …".
 */
export function notModelled(what: string): ArmError {
  return new ArmError(501, 'SimulatorUnknown', `The simulator does not know: ${what}.`);
}
