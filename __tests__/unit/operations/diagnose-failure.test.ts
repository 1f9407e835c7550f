import { describe, expect, test } from '@jest/globals';
import { tenantFromChallenge } from '../../../src/azure/subscriptions.ts';
import { explain } from '../../../src/error-catalog/explain.ts';
import type { ImageAccessProbe } from '../../../src/errors/errors.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';

const token = '11111111-aaaa-4b1e-8c52-0d7d1e5f1a01';
const other = '33333333-cccc-4d5f-8e74-2f9f3a7b3c03';
const imageSubscription = '1a2f6c2e-5d0e-4c1b-9a53-6f0f0c9f1e01';
const imageId = `/subscriptions/${imageSubscription}/resourceGroups/g/providers/Microsoft.Compute/galleries/images/images/linux/versions/1.0.0`;

const messages = {
  'of another tenant': `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Compute/galleries/images/versions/read' on scope '/vm'; however, the current tenant '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02' is not authorized to access linked subscription '${imageSubscription}'.`,
  'without the right': `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Compute/virtualMachines/write' on scope '/vm'; however, it does not have permission to perform action(s) 'Microsoft.Compute/galleries/images/versions/read' on the linked scope(s) '${imageId}' or the linked scope(s) are invalid.`,
};

function explained(message: string, link?: ImageAccessProbe) {
  const fault = parseErrorResponse({
    method: 'PUT',
    url: '/vm',
    status: 403,
    headers: () => undefined,
    bodyText: JSON.stringify({ error: { code: 'LinkedAuthorizationFailed', message } }),
  });
  const known = { clientId: 'app', tenantId: 'customer.example', imageTenantId: 'images.example', imageId };
  return explain(fault, { ...known, ...(link ? { link } : {}) });
}

describe.each(Object.entries(messages))('a refused link to an image %s', (_, message) => {
  test('is the token’s fault where another tenant owns the image’s subscription', () => {
    const told = explained(message, { tokenTenant: token, owner: other, image: 'denied' });
    expect(told?.cause).toContain('`image-tenant-id` is the wrong tenant');
    expect(told?.cause).toContain(other);
    expect(told?.who).toBe("the workflow's author");
    expect(told?.fix.join('\n')).toContain(`Set \`image-tenant-id\` to ${other}`);
  });

  test.each([[{ owner: token }], [{}]])('is the role’s fault where the token cannot read it: %j', (owner) => {
    const told = explained(message, { tokenTenant: token, image: 'denied', ...owner });
    expect(told?.cause).toContain('The app has no role on the image.');
    expect(told?.who).toContain('the owner of the gallery');
    expect(told?.fix.join('\n')).toContain('Compute Gallery Image Reader');
  });

  test('is nobody’s fault any more where the token reads it', () => {
    expect(explained(message, { tokenTenant: token, owner: token, image: 'readable' })?.cause).toContain(
      'although the app can read the image',
    );
    const unsure = explained(message, { tokenTenant: token, image: 'readable' });
    expect(unsure?.fix.join('\n')).toContain('authorization_uri');
  });

  test('may be a version that is gone', () => {
    expect(explained(message, { tokenTenant: token, owner: token, image: 'absent' })?.cause).toContain(
      'no longer exists',
    );
  });

  test('is explained by its words alone where the look has shown nothing', () => {
    const unseen = explained(message);
    expect(unseen?.cause).toBeTruthy();
    expect(explained(message, { tokenTenant: token, owner: token })).toEqual(unseen);
    expect(explained(message, { tokenTenant: token })).toEqual(unseen);
  });
});

test('a look at the image settles nothing about other links', () => {
  const message = messages['of another tenant'].replace(
    'Microsoft.Compute/galleries/images/versions/read',
    'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
  );
  expect(explained(message, { tokenTenant: token, owner: other, image: 'readable' })).toEqual(explained(message));
});

test.each([
  [`Bearer authorization_uri="https://login.microsoftonline.com/${other}", error="invalid_token"`, other],
  [`Bearer authorization_uri="https://login.windows.net/${other.toUpperCase()}/", error="x"`, other],
  ['Bearer authorization_uri="https://login.microsoftonline.com/common", error="x"', undefined],
  ['Basic realm="proxy"', undefined],
  [undefined, undefined],
])('the owning tenant in %s', (challenge, tenant) => {
  expect(tenantFromChallenge(challenge)).toBe(tenant);
});
