import { describe, expect, test } from '@jest/globals';
import type { ErrorContext } from '../../../src/errors/errors.ts';
import {
  type Case,
  armError,
  auxiliaryTenant,
  clientId,
  context,
  entraError,
  expectExplained,
  explained,
  titlesOf,
  imageSubscription,
  imageTenant,
  named,
  otherTenant,
  subscription,
  vmTenant,
} from '../../support/azure-errors.ts';

const cases: readonly Case[] = [
  [entraError('AADSTS7000112', 'Other words.'), 'The app is disabled in that tenant'],
  [entraError('AADSTS900382', 'Other words.'), 'The tenant belongs to another cloud'],
  [
    entraError('AADSTS7000112', "Application 'abc'(shipper) is disabled."),
    'The app is disabled in that tenant',
    'app abc is disabled',
    `az login --tenant ${vmTenant}`,
    'az ad sp update --id abc',
  ],
  [
    entraError('AADSTS53003', 'Access has been blocked by Conditional Access policies.', imageTenant),
    'Conditional Access blocks the app',
    `the image tenant (${imageTenant})`,
  ],
  [
    entraError('AADSTS900382', 'Confidential Client is not supported in Cross Cloud request.', imageTenant),
    'The tenant belongs to another cloud',
    'The image tenant',
    'correct `image-tenant-id`',
  ],
  [
    armError('InvalidAuthenticationToken', 'The access token is invalid.', 401),
    'Resource Manager refused one of the tokens',
    vmTenant,
    imageTenant,
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));

describe('consent', () => {
  const notFound = `Application with identifier '${clientId}' was not found in the directory 'X'.`;

  test.each([
    ['the image tenant', imageTenant],
    ["the VM's tenant", vmTenant],
  ])('is requested in %s when that tenant refused', (name, tenant) => {
    const { who, fix } = explained(entraError('AADSTS700016', notFound, tenant));
    expect(who).toBe(`an administrator of ${name} (${tenant})`);
    expect(fix).toEqual(
      expect.arrayContaining([
        `https://login.microsoftonline.com/${tenant}/adminconsent?client_id=${clientId}`,
        `https://login.microsoftonline.com/${tenant}/oauth2/authorize?client_id=${clientId}&response_type=code&redirect_uri=https%3A%2F%2Fwww.microsoft.com%2F`,
        `az login --tenant ${tenant} --allow-no-subscriptions`,
        `az ad sp create --id ${clientId}`,
      ]),
    );
  });

  test('uses the sign-in host of the cloud', () => {
    const loginEndpoint = 'https://login.microsoftonline.us/';
    const { fix } = explained(entraError('AADSTS700016', 'x'), { ...context, loginEndpoint });
    expect(fix).toContain(`https://login.microsoftonline.us/${vmTenant}/adminconsent?client_id=${clientId}`);
  });

  test('names no role of a tenant that is both', () => {
    const both = { ...context, imageTenantId: vmTenant };
    expect(explained(entraError('AADSTS700016', 'x'), both).who).toBe(`an administrator of tenant ${vmTenant}`);
  });

  test('names the input of an auxiliary tenant', () => {
    const { who, fix } = explained(entraError('AADSTS700016', 'x', auxiliaryTenant), {
      ...context,
      auxiliaryTenantIds: [auxiliaryTenant],
    });
    expect(who).toBe(`an administrator of the auxiliary tenant ${auxiliaryTenant}`);
    expect(fix.at(-1)).toContain('`auxiliary-tenant-ids`');
  });
});

describe('an unknown tenant', () => {
  test('is recognised as the ID of the subscription', () => {
    const error = entraError('AADSTS90002', `Tenant '${subscription}' not found.`, subscription);
    expect(explained(error).cause).toContain('It is the ID of the subscription.');
  });

  test('is attributed to its input', () => {
    const error = entraError('AADSTS90002', `Tenant '${imageTenant}' not found.`, imageTenant);
    expect(explained(error).fix[0]).toContain('`image-tenant-id`');
  });
});

describe('AADSTS700024', () => {
  const error = entraError(
    'AADSTS700024',
    'Client assertion is not within its valid time range. Current time: 2026-08-01T11:08:01.5Z, assertion valid from 2026-08-01T10:58:00.0Z, expiry time of assertion 2026-08-01T11:03:00.0Z.',
  );
  const oidc = { issuer: 'https://token.actions.githubusercontent.com', subject: 's', audience: 'a' };

  test("does not blame the runner's clock when GitHub issued the assertion", () => {
    const known = { ...context, oidc };
    expect(titlesOf(error, known)).toEqual(["GitHub's ID token expired before Entra received it"]);
    const { cause, who, fix } = explained(error, known);
    expect(cause).toMatch(/GitHub issued it .*until 2026-08-01T11:03:00.0Z/);
    expect(cause).toContain("the runner's clock plays no part");
    expect([who, ...fix].join()).not.toMatch(/clock|NTP|operator of the runner/);
  });

  test("blames the runner's clock when the runner signed it with a certificate", () => {
    expect(titlesOf(error)).toEqual(['The signed assertion has expired or is not valid yet']);
    expect(explained(error).cause).toContain('The clock of the runner is wrong.');
  });
});

describe('one refused token of several', () => {
  const known = { ...context, auxiliaryTenantIds: [auxiliaryTenant] };
  const refused = (tenant: string) =>
    armError(
      'InvalidAuthenticationToken',
      `The token of client '${clientId}' and tenant '${tenant}' is not valid.`,
      401,
    );

  test.each([
    ['an auxiliary tenant', auxiliaryTenant, `the auxiliary tenant ${auxiliaryTenant}`],
    ['the image tenant', imageTenant, `the image tenant (${imageTenant})`],
    ["the VM's tenant", vmTenant, `the VM's tenant (${vmTenant})`],
    ['a tenant that an input names by its domain', otherTenant, `tenant ${otherTenant}`],
  ])('is attributed to %s', (_, tenant, name) => {
    const { cause, who, fix } = explained(refused(tenant), known);
    expect(cause).toContain(`refused the token of ${name}.`);
    expect(who).toContain(name);
    expect(fix).toContain(`az login --tenant ${tenant} --allow-no-subscriptions`);
  });

  test('may be any of them when Azure names none', () => {
    const { cause } = explained(armError('InvalidAuthenticationToken', 'No.', 401), known);
    for (const tenant of [vmTenant, imageTenant, auxiliaryTenant]) expect(cause).toContain(tenant);
  });
});

describe('a token of the wrong tenant', () => {
  const wrongIssuer = (issuer: string, owner: string, inSubscription = subscription) =>
    armError(
      'InvalidAuthenticationTokenTenant',
      `The access token is from the wrong issuer 'https://sts.windows.net/${issuer}/'. It must match the tenant 'https://sts.windows.net/${owner}/' associated with this subscription.`,
      401,
      `https://management.azure.com/subscriptions/${inSubscription}?api-version=1`,
    );

  test('is attributed to image-tenant-id when the request was for the image', () => {
    // The usual slip: both inputs name the tenant of the VM.
    const known = { ...context, imageTenantId: vmTenant };
    const { cause, fix } = explained(wrongIssuer(vmTenant, imageTenant, imageSubscription), known);
    expect(cause).toMatch(/^`image-tenant-id` is the wrong tenant/);
    expect(fix[0]).toMatch(new RegExp(`^Set \`image-tenant-id\` to ${imageTenant}`));
    expect([cause, ...fix].join()).not.toContain('`tenant-id`');
  });

  test('is attributed to tenant-id when the request was for the subscription of the VM', () => {
    const { fix } = explained(wrongIssuer(vmTenant, otherTenant));
    expect(fix[0]).toMatch(new RegExp(`^Set \`tenant-id\` to ${otherTenant}`));
  });

  test('means that the tenants are swapped when the owner is the other one', () => {
    const known = { ...context, tenantId: imageTenant, imageTenantId: vmTenant };
    const { cause, fix } = explained(wrongIssuer(imageTenant, vmTenant), known);
    expect(cause).toMatch(/^`tenant-id` and `image-tenant-id` are swapped\./);
    expect(fix[0]).toBe(
      `Swap them: \`tenant-id\` is the tenant of the VM (${vmTenant}), \`image-tenant-id\` that of the gallery (${imageTenant}). To see which tenant owns the subscription:`,
    );
  });
});

test('a token of the wrong issuer is attributed to subscription-id when it is the subscription of the image', () => {
  const error = armError(
    'InvalidAuthenticationTokenTenant',
    `The access token is from the wrong issuer 'https://sts.windows.net/${vmTenant}/'. It must match the tenant 'https://sts.windows.net/${imageTenant}/' associated with this subscription.`,
    401,
    `https://management.azure.com/subscriptions/${imageSubscription}?api-version=1`,
  );
  const { cause, fix } = explained(error, { ...context, subscriptionId: imageSubscription });
  expect(cause).toMatch(/^`subscription-id` is the subscription of the image\./);
  expect(fix.join()).toContain(`tenantId=='${vmTenant}'`);
  expect([cause, ...fix].join()).not.toContain('wap');
});

describe('tenants named by their domains', () => {
  const byDomain: ErrorContext = {
    ...context,
    tenantId: 'Deploy.example',
    imageTenantId: 'images.example',
    auxiliaryTenantIds: ['aux.example'],
  };
  const signedIn: ErrorContext = {
    ...byDomain,
    tenantGuids: new Map([
      ['deploy.example', vmTenant],
      ['images.example', imageTenant],
      ['aux.example', auxiliaryTenant],
    ]),
  };

  test.each([
    ['images.example', imageTenant, 'the image tenant (images.example)'],
    ['aux.example', auxiliaryTenant, 'the auxiliary tenant aux.example'],
    ['Deploy.example', vmTenant, "the VM's tenant (Deploy.example)"],
  ])('match the GUID that Azure names: %s', (domain, tenant, name) => {
    const error = armError('InvalidAuthenticationToken', `The token of tenant '${tenant}' is not valid.`, 401);
    const { cause, fix } = explained(error, signedIn);
    expect(cause).toContain(`refused the token of ${name}.`);
    expect(fix).toContain(`az login --tenant ${domain} --allow-no-subscriptions`);
  });

  test('are the same tenant as their GUID', () => {
    const known = { ...signedIn, tenantId: imageTenant };
    expect(explained(entraError('AADSTS700016', 'x', imageTenant), known).who).toBe(
      `an administrator of tenant ${imageTenant}`,
    );
  });

  test('are known only by name before the sign-in', () => {
    expect(explained(entraError('AADSTS700016', 'x', 'images.example'), byDomain).who).toBe(
      'an administrator of the image tenant (images.example)',
    );
  });
});
