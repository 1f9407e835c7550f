import type { Json } from './contract.ts';

/** An error answer of Resource Manager or a provider: `{error: {code, message, target?, details?}}`. */
export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly target: string | undefined;
  readonly details: readonly Json[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** True: made by the gateway, not by a provider (`x-ms-failure-cause: gateway`). */
  readonly gateway: boolean;
  /** True: sent without the outer `error` object (Compute's throttling answers). */
  readonly bare: boolean;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      target?: string;
      details?: readonly Json[];
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
    this.headers = more.headers ?? {};
    this.gateway = more.gateway ?? false;
    this.bare = more.bare ?? false;
  }

  /** The body as Azure writes it. */
  body(): Json {
    const error: Json = { code: this.code, message: this.message };
    if (this.target !== undefined) error['target'] = this.target;
    if (this.details !== undefined) error['details'] = this.details;
    return this.bare ? error : { error };
  }
}

/** A provider's refusal, e.g. `refuse(400, 'InvalidParameter', '…', {target: 'adminUsername'})`. */
export function refuse(
  status: number,
  code: string,
  message: string,
  more: { target?: string; details?: readonly Json[]; headers?: Readonly<Record<string, string>> } = {},
): ArmError {
  return new ArmError(status, code, message, more);
}

/** A Network refusal: these carry an empty `details` (recorded). */
export function refuseNetwork(code: string, message: string, status = 400): ArmError {
  return new ArmError(status, code, message, { details: [] });
}

/** 404 ResourceNotFound in the gateway's words; `id` is the resource that is missing. */
export function resourceNotFound(id: string): ArmError {
  const match = /\/resourceGroups\/([^/]+)\/providers\/([^/]+)\/(.+)$/i.exec(id);
  const group = match?.[1] ?? '';
  const segments = (match?.[3] ?? '').split('/');
  const types = segments.filter((_, index) => index % 2 === 0);
  const names = segments.filter((_, index) => index % 2 === 1);
  const what = `${match?.[2] ?? ''}/${types.join('/')}/${names.join('/')}`;
  return new ArmError(
    404,
    'ResourceNotFound',
    `The Resource '${what}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    { gateway: true },
  );
}

/** 404 for a nested resource whose parent is missing; `parent` as `gallery/definition`. */
export function parentNotFound(parent: string): ArmError {
  return new ArmError(
    404,
    'ParentResourceNotFound',
    `Can not perform requested operation on nested resource. Parent resource '${parent}' not found.`,
    { gateway: true },
  );
}

/**
 * What nobody has seen Azure do: better no answer than a guess. `what` says what is not known
 * ("property 'osDisk.diffDiskSettings' of virtualMachines").
 */
export function notModelled(what: string): ArmError {
  return new ArmError(501, 'SimulatorUnknown', `The simulator does not know: ${what}.`);
}
