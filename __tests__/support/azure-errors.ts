/** Errors of Azure as the action parses them, and the context of a run that meets them. */
import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import { entriesByGroup, explain } from '../../src/error-catalog/explain.ts';
import { fillPlaceholders, matches } from '../../src/error-catalog/entry.ts';
import type { AzureErrorInfo, ErrorContext, Explanation } from '../../src/errors/errors.ts';
import { parseErrorResponse } from '../../src/errors/parse-error-response.ts';

export const vmTenant = '22222222-0000-4000-8000-000000000002';
export const imageTenant = '11111111-0000-4000-8000-000000000001';
export const auxiliaryTenant = '55555555-0000-4000-8000-000000000005';
export const otherTenant = '66666666-0000-4000-8000-000000000006';
export const subscription = '33333333-0000-4000-8000-000000000003';
export const imageSubscription = '44444444-0000-4000-8000-000000000004';
export const clientId = 'cccccccc-0000-4000-8000-00000000000c';
export const definitionId = `/subscriptions/${imageSubscription}/resourceGroups/gallery-rg/providers/Microsoft.Compute/galleries/images/images/linux`;
export const imageId = `${definitionId}/versions/1.0.0`;
export const groupId = `/subscriptions/${subscription}/resourceGroups/deploy-rg`;

export const context: ErrorContext = {
  clientId,
  tenantId: vmTenant,
  imageTenantId: imageTenant,
  subscriptionId: subscription,
  resourceGroup: 'deploy-rg',
  location: 'westeurope',
  vmName: 'vm-1',
  vmSize: 'Standard_D2s_v5',
  imageId,
};

const origin = 'https://management.azure.com';
export const vmUrl = `${origin}${groupId}/providers/Microsoft.Compute/virtualMachines/vm-1?api-version=1`;
export const nicUrl = `${origin}${groupId}/providers/Microsoft.Network/networkInterfaces/vm-1-nic?api-version=1`;
export const operationUrl = `${origin}/subscriptions/${subscription}/providers/Microsoft.Compute/locations/westeurope/operations/o?api-version=1`;

export function entraUrl(tenant: string): string {
  return `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`;
}

export function errorOf(
  body: unknown,
  status = 400,
  url = vmUrl,
  headers: Record<string, string> = {},
): AzureErrorInfo {
  const bodyText = body === null ? '' : JSON.stringify(body);
  return parseErrorResponse({ method: 'PUT', url, status, headers: (name) => headers[name], bodyText });
}

export function armError(code: string, message: string, status = 400, url = vmUrl): AzureErrorInfo {
  return errorOf({ error: { code, message } }, status, url);
}

export function entraError(code: string, message: string, tenant = vmTenant): AzureErrorInfo {
  const error_description = code === '' ? message : `${code}: ${message}`;
  return errorOf({ error: 'invalid_client', error_description }, 401, entraUrl(tenant));
}

export function explained(error: AzureErrorInfo, known: ErrorContext = context): Explanation {
  const explanation = explain(error, known);
  if (!explanation) throw new Error(`${error.code} is not explained`);
  return explanation;
}

export function textOf({ cause, who, fix }: Explanation): string {
  return [cause, who, ...fix].join('\n');
}

export const catalogue = Object.values(entriesByGroup).flatMap((entries) =>
  Object.entries(entries).map(([title, entryFor]) => ({
    title,
    says: entryFor({ ...fillPlaceholders({}), ...errorOf(null) }).says,
    entryFor,
  })),
);

/** The headings of all entries that match. */
export function titlesOf(error: AzureErrorInfo, known: ErrorContext = context): string[] {
  const failure = { ...fillPlaceholders(known), ...error };
  return catalogue.filter(({ entryFor }) => matches(entryFor(failure), failure)).map(({ title }) => title);
}

/** An error, the one entry that must explain it, and what the explanation must contain. */
export type Case = readonly [error: AzureErrorInfo, title: string, ...quoted: readonly string[]];

export function named(cases: readonly Case[]): [string, ...Case][] {
  return cases.map((row) => [`${row[0].code || `HTTP ${row[0].status}`} as ${row[1]}`, ...row]);
}

/** Asserts that exactly one entry explains the error, completely, also when nothing but the error is known. */
export function expectExplained(error: AzureErrorInfo, title: string, quoted: readonly string[]): void {
  expect(titlesOf(error)).toEqual([title]);
  const explanation = explained(error);
  for (const part of [explanation, explained(error, {})]) expectComplete(part);
  for (const words of quoted) expect(textOf(explanation)).toContain(words);
  expect(commandsOf(explanation).join('\n')).not.toMatch(unfilled);
}

/** Placeholders for values that the context has. */
const unfilled =
  /<(?:client-id|tenant-id|image-tenant-id|subscription-id|resource-group|location|vm-name|vm-size|image-id)>/;

export function commandsOf({ fix }: Explanation): string[] {
  return fix.filter((line) => /^(?:az|gh|curl|ssh-keygen) /.test(line));
}

function expectComplete({ cause, who, fix }: Explanation): void {
  for (const words of [cause, who, ...fix]) {
    expect(words.trim()).not.toBe('');
    expect(words).not.toMatch(/undefined|NaN|\[object|\(\)/);
  }
  expect(fix.length).toBeGreaterThan(0);
}

/** Evidence: what Azure was recorded, quoted or documented to answer. */
export interface Evidence {
  readonly name: string;
  readonly error: AzureErrorInfo;
}

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8'));

export const recordedErrors: readonly Evidence[] = (
  fixture('errors.json') as { code: string; httpStatus: number; body: unknown }[]
).map(({ code, httpStatus, body }) => ({
  name: code,
  error: errorOf(body, httpStatus, code.startsWith('AADSTS') ? entraUrl(vmTenant) : vmUrl),
}));

interface Refusal {
  readonly id: string;
  readonly at: string;
  readonly code: string | null;
  readonly message: string;
  readonly status?: number;
  readonly details?: readonly unknown[];
}

export const quotedErrors: readonly Evidence[] = (fixture('texts.json') as { rows: Refusal[] }).rows.map(
  ({ id, at, code, message, status = 200, details }) => {
    const error = { code, message, details };
    if (at === 'the token request') return { name: id, error: entraError('', message) };
    if (at.startsWith('the failed operation'))
      return { name: id, error: errorOf({ status: 'Failed', error }, 200, operationUrl) };
    return { name: id, error: errorOf({ error }, status, at.includes('network') ? nicUrl : vmUrl) };
  },
);
