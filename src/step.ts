/** What the main step and the post step share: inputs, error context and log of this process. */
import * as core from '@actions/core';
import { readFileSync, realpathSync } from 'node:fs';
import { isSignInError } from './auth/credential.ts';
import type { SessionOptions } from './auth/session.ts';
import { explain } from './error-catalog/explain.ts';
import type { ErrorContext } from './errors/errors.ts';
import { formatError } from './errors/format-error.ts';
import type { Inputs } from './inputs/inputs.ts';
import type { readInputs } from './inputs/read-inputs.ts';
import { omitUndefined } from './lib/json.ts';
import { eventPayload, env } from './runner/environment.ts';
import type { Reporter } from './summary/reporter.ts';

/** The SDK refreshes in the background without awaiting: a rejection must not kill the process and skip cleanup. */
export function logStrayRejection({ log }: Reporter, onBug: (bug: unknown) => void): void {
  process.on('unhandledRejection', (reason) => {
    if (isSignInError(reason)) log.info(`A token could not be renewed yet. ${formatError(reason).join(' ')}`);
    else onBug(reason);
  });
}

export const explainError = (situation: ErrorContext) => (fault: Parameters<typeof explain>[0]) =>
  explain(fault, situation);

export function errorContextFrom(inputs: Inputs): ErrorContext {
  const { clientId, tenantId, subscriptionId, resourceGroup } = inputs;
  const common = { clientId, tenantId, resourceGroup, ...omitUndefined({ subscriptionId }) };
  if (inputs.operation !== 'create' && inputs.operation !== 'check') return common;
  const { imageTenantId, auxiliaryTenantIds, image, vmName, location } = inputs;
  return { ...common, imageTenantId, auxiliaryTenantIds, imageId: image.id, vmName, ...omitUndefined({ location }) };
}

export function sessionOptions(
  { log, mask }: Reporter,
  signal: AbortSignal,
  onContext: SessionOptions['onContext'],
): SessionOptions {
  return { log, signal, env, mask, onContext };
}

export function rawInput(name: string): string {
  return core.getInput(name, { trimWhitespace: false });
}

export function createRunnerValues(report: Reporter): Parameters<typeof readInputs>[1] {
  const undefinedOnError = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch {
      return undefined;
    }
  };
  return {
    env,
    event: eventPayload(),
    readFile: (path) => undefinedOnError(() => readFileSync(path)),
    realPath: (path) => undefinedOnError(() => realpathSync(path)),
    mask: report.mask,
  };
}

/** Reads the raw input, because the summary also reports invalid inputs. */
export function wantsSummary(): boolean {
  return rawInput('summary').trim().toLowerCase() !== 'false';
}
