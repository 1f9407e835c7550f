import { describe as group, expect, test } from '@jest/globals';
import { type AzureErrorInfo, ActionError, AzureError, rootDetail, withActivity } from '../../../src/errors/errors.ts';
import { errorTitle, formatError, isCommandOrUrl } from '../../../src/errors/format-error.ts';
import { type ErrorResponse, parseErrorResponse } from '../../../src/errors/parse-error-response.ts';
import { retryAfterSeconds } from '../../../src/lib/duration.ts';

function fault(body: unknown, answer: Partial<ErrorResponse> & { with?: Record<string, string> } = {}) {
  return parseErrorResponse({
    method: 'PUT',
    url: 'https://management.azure.com/subscriptions/s/resourceGroups/g?api-version=1&sig=abc',
    status: 400,
    headers: (name) => answer.with?.[name],
    bodyText: typeof body === 'string' ? body : JSON.stringify(body),
    ...answer,
  });
}

group('parseErrorResponse', () => {
  test('parses code, message, target, details and innererror', () => {
    const read = fault({
      error: {
        code: 'Outer',
        message: 'outer message',
        target: 'properties.x',
        details: [
          { code: 'First', message: 'first', target: 'a', details: [{ code: 'Second', message: 'second' }] },
          { code: 'Third', message: 'third' },
        ],
        innererror: {
          code: 'Inner',
          message: 'inner',
          innererror: { code: 'Innermost', message: 'innermost' },
        },
        additionalInfo: [{ type: 'PolicyViolation', info: {} }],
      },
    });
    expect(read).toMatchObject({
      status: 400,
      code: 'Outer',
      message: 'outer message',
      target: 'properties.x',
      details: [
        { code: 'First', message: 'first', target: 'a' },
        { code: 'Second', message: 'second' },
        { code: 'Third', message: 'third' },
        { code: 'Inner', message: 'inner' },
        { code: 'Innermost', message: 'innermost' },
      ],
    });
    expect(rootDetail(read)).toMatchObject({ code: 'Innermost', message: 'innermost' });
  });

  test('parses a body without an outer error, such as a 429 of Compute', () => {
    const read = fault(
      {
        code: 'OperationNotAllowed',
        message: 'too many',
        details: [{ code: 'TooManyRequests', target: 'Bucket', message: '{"n":1}' }],
      },
      { status: 429, with: { 'retry-after': '1200' } },
    );
    expect(read).toMatchObject({ code: 'OperationNotAllowed', message: 'too many', retryAfterSeconds: 1200 });
    expect(read.details).toEqual([{ code: 'TooManyRequests', target: 'Bucket', message: '{"n":1}' }]);
  });

  test.each(['Failed', 'Canceled'])('an operation that ended as %s, with status 200', (status) => {
    const read = fault({ status, name: 'x', error: { code: 'AllocationFailed', message: 'no room' } }, { status: 200 });
    expect(read).toMatchObject({ status: 200, code: 'AllocationFailed', message: 'no room' });
  });

  test('parses an operation that failed without an error', () => {
    expect(fault({ status: 'Canceled' }, { status: 200 })).toMatchObject({
      code: 'Canceled',
      message: 'The operation ended as Canceled and gave no reason.',
    });
  });

  test('parses JSON in the message of a detail', () => {
    const nested = {
      error: { code: 'Real', message: 'the reason', details: [{ code: 'Deeper', message: 'deeper' }] },
    };
    const read = fault({
      error: {
        code: 'DeploymentFailed',
        message: 'see details',
        details: [{ code: 'BadRequest', message: JSON.stringify(nested, null, 2) }],
      },
    });
    expect(read.details).toEqual([
      { code: 'Real', message: 'the reason' },
      { code: 'Deeper', message: 'deeper' },
    ]);
    expect(rootDetail(read)).toEqual({ code: 'Deeper', message: 'deeper' });
  });

  test('parses JSON in the outer message', () => {
    const read = fault({
      error: { code: 'Outer', message: JSON.stringify({ code: 'Real', message: 'the reason' }) },
    });
    expect(read).toMatchObject({
      code: 'Outer',
      message: 'the reason',
      details: [{ code: 'Real', message: 'the reason' }],
    });
  });

  test('parses an error of Entra and adds the requested tenant', () => {
    const read = fault(
      {
        error: 'unauthorized_client',
        error_description:
          "AADSTS700016: Application with identifier 'x' was not found.\r\nTrace ID: t\r\nCorrelation ID: c",
        error_codes: [700016],
        trace_id: 't',
        correlation_id: 'c',
      },
      { url: 'https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token', method: 'POST' },
    );
    expect(read).toMatchObject({
      code: 'AADSTS700016',
      message: "Application with identifier 'x' was not found.",
      tenant: 'contoso.com',
      correlationId: 'c',
      requestId: 't',
      details: [],
    });
  });

  test("Entra's discovery document names the tenant too; without a number its own code stays", () => {
    expect(
      fault(
        { error: 'invalid_tenant' },
        { url: 'https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration' },
      ),
    ).toMatchObject({ code: 'invalid_tenant', message: 'invalid_tenant', tenant: 't' });
  });

  test.each([
    ['an empty 429', '', 429, 'management.azure.com answered 429 with an empty body'],
    [
      'a page of a proxy',
      '<html><head><title> 502 Bad Gateway </title></head><body>x</body></html>',
      502,
      'management.azure.com answered 502 with an HTML page titled "502 Bad Gateway"',
    ],
    [
      'plain text',
      'upstream connect error token=abc',
      503,
      'management.azure.com answered 503 with a body that is not JSON',
    ],
    ['JSON that is no error', '[1,2]', 500, 'management.azure.com answered 500 with a JSON list'],
    ['half a JSON', '{"error":{"code":', 500, 'management.azure.com answered 500 with truncated or invalid JSON'],
  ])('%s', (_, bodyText, status, message) => {
    expect(fault(bodyText, { status })).toMatchObject({
      status,
      code: '',
      message,
      details: [],
      body: bodyText,
    });
  });

  test('a byte order mark is no hindrance', () => {
    expect(fault(`\uFEFF${JSON.stringify({ error: { code: 'A', message: 'b' } })}`).code).toBe('A');
  });

  test('the IDs of the headers, the cause of the gateway, and a path without its query', () => {
    const read = fault(
      { error: { code: 'A', message: 'b' } },
      {
        with: {
          'x-ms-correlation-request-id': 'corr',
          'x-ms-request-id': 'req',
          'x-ms-failure-cause': 'gateway',
        },
      },
    );
    expect(read).toMatchObject({
      correlationId: 'corr',
      requestId: 'req',
      failureCause: 'gateway',
      method: 'PUT',
      url: '/subscriptions/s/resourceGroups/g',
    });
    expect([read.tenant, read.retryAfterSeconds]).toEqual([undefined, undefined]);
  });

  test('the time that Network tells in words', () => {
    const body = {
      error: {
        code: 'RetryableError',
        message: 'x',
        details: [{ code: 'Y', message: 'The call can be retried in 12 seconds.' }],
      },
    };
    expect(fault(body, { status: 429 }).retryAfterSeconds).toBe(12);
    expect(fault(body, { status: 429, with: { 'retry-after': '3' } }).retryAfterSeconds).toBe(3);
  });

  test('what must not be seen is taken out of messages', () => {
    const token = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.c2lnbmF0dXJl';
    const message = `Bad ${token} at https://x/y?api-version=1&t=${'1'.repeat(20)}&sig=${'A'.repeat(30)} with client_secret=hush&x`;
    const read = fault({ error: { code: 'A', message, details: [{ code: 'B', message }] } });
    expect(read.message).toBe(
      'Bad <token> at https://x/y?api-version=1&t=<removed>&sig=<removed> with client_secret=<removed>&x',
    );
    expect(read.details[0]?.message).toBe(read.message);
    expect(new AzureError(read).message).not.toMatch(/eyJ|AAAA|hush/);
  });
});

group('retryAfterSeconds', () => {
  test.each([
    ['10', undefined, 10],
    ['0', undefined, 0],
    ['Wed, 21 Oct 2026 07:28:30 GMT', 'Wed, 21 Oct 2026 07:28:00 GMT', 30],
    ['Wed, 21 Oct 2026 07:28:00 GMT', 'Wed, 21 Oct 2026 07:28:30 GMT', 0],
    ['soon', undefined, undefined],
    [undefined, undefined, undefined],
  ])('%s, answered at %s', (header, answeredAt, seconds) => {
    expect(retryAfterSeconds(header, answeredAt)).toBe(seconds);
  });
});

group('ActionError', () => {
  const explanation = { reason: 'the cause', who: 'you' };

  test.each([
    ['its own words', { message: 'own', cause: new Error('other'), ...explanation }, 'own'],
    ["its cause's", { cause: new Error('other'), ...explanation }, 'other'],
    ["its explanation's", explanation, 'the cause'],
    ['none', {}, 'creating x failed'],
  ])('says %s', (_, parts, message) => {
    expect(new ActionError('creating x', parts).message).toBe(message);
  });

  test('keeps its cause', () => {
    const cause = new Error('other');
    expect(new ActionError('creating x', { cause }).cause).toBe(cause);
    expect(new ActionError('creating x')).not.toHaveProperty('cause');
  });
});

group('withActivity', () => {
  test("adds the activity to Azure's errors and passes other errors through", async () => {
    const refusal = new AzureError(fault({ error: { code: 'A', message: 'b' } }));
    await expect(withActivity('asking', () => Promise.reject(refusal))).rejects.toMatchObject({
      activity: 'asking',
      cause: refusal,
    });
    const other = new Error('other');
    await expect(withActivity('asking', () => Promise.reject(other))).rejects.toBe(other);
    await expect(withActivity('asking', () => Promise.resolve(1))).resolves.toBe(1);
  });
});

const azure = new AzureError(
  fault(
    {
      error: {
        code: 'InvalidTemplateDeployment',
        message: 'See inner errors.',
        details: [{ code: 'QuotaExceeded', message: 'No cores\r\nleft.' }],
      },
    },
    { with: { 'x-ms-correlation-request-id': 'corr', 'x-ms-request-id': 'req' } },
  ),
);

group('formatError', () => {
  test('puts cause, who and commands before activity, message, request and IDs', () => {
    const error = new ActionError('creating virtual machine vm1', {
      cause: azure,
      reason: 'No cores are left.',
      who: 'the owner',
      fix: ['Request more:', 'az vm list-usage', 'https://portal.azure.com'],
    });
    expect(formatError(error)).toEqual([
      'Cause: No cores are left.',
      'Who must act: the owner',
      'What to do:',
      '  - Request more:',
      '    az vm list-usage',
      '    https://portal.azure.com',
      'Failed while creating virtual machine vm1.',
      'Azure answered 400 InvalidTemplateDeployment: See inner errors.',
      'In detail, QuotaExceeded: No cores\nleft.',
      'Request: PUT /subscriptions/s/resourceGroups/g',
      'Correlation ID: corr',
      'Request ID: req',
    ]);
  });

  test('lists nested activities once, outermost first', () => {
    const error = new ActionError('creating the deployment', {
      cause: new ActionError('signing in', { cause: azure }),
    });
    expect(formatError(error).slice(0, 2)).toEqual([
      'Failed while creating the deployment, signing in.',
      'Azure answered 400 InvalidTemplateDeployment: See inner errors.',
    ]);
  });

  test('starts with the message of the action when there is no explanation', () => {
    const error = new ActionError('deleting', { message: 'One resource is left.', cause: azure });
    expect(formatError(error).slice(0, 2)).toEqual(['One resource is left.', 'Failed while deleting.']);
  });

  test('shows the message of the error that is explained before the cause, and other messages after it', () => {
    const explanation = { reason: 'It is taken.', who: 'you', fix: ['Use another.'] };
    const inner = new ActionError('creating x', { message: 'x exists.', ...explanation });
    expect(formatError(new ActionError('deploying', { message: 'Note.', cause: inner }))).toEqual([
      'x exists.',
      'Cause: It is taken.',
      'Who must act: you',
      'What to do:',
      '  - Use another.',
      'Note.',
      'Failed while deploying, creating x.',
    ]);
  });

  test('moves all but the first line of a long message behind the commands', () => {
    const explanation = { reason: 'No capacity.', who: 'you', fix: ['az vm list-skus'] };
    const attempts = Array.from({ length: 20 }, (_, n) => `- size ${n}: ${'x'.repeat(60)}`);
    const message = ['None is available:', ...attempts].join('\n');
    const lines = formatError(new ActionError('creating x', { message, ...explanation }));
    expect(lines[0]).toBe('None is available.');
    expect(lines[lines.indexOf('In detail:') + 1]).toBe(attempts[0]);
    expect(lines.indexOf('    az vm list-skus')).toBeLessThan(lines.indexOf(attempts[0] ?? ''));
  });

  test('says nothing twice', () => {
    const explanation = { reason: 'It is taken.', who: 'you', fix: [] };
    expect(formatError(new ActionError('creating x', explanation))).toEqual([
      'Cause: It is taken.',
      'Who must act: you',
      'Failed while creating x.',
    ]);
    expect(formatError(new ActionError('creating x'))).toEqual(['Failed while creating x.']);
    const message = 'Standard_D2s_v5 was refused: See inner errors. No more sizes.';
    const quoted = formatError(new ActionError('creating x', { message, cause: azure }));
    expect(quoted.join('\n').match(/See inner errors/g)).toHaveLength(2);
  });

  test('names Entra and the tenant, the failed operation, or the missing answer', () => {
    const entra = fault(
      { error: 'invalid_client', error_description: 'AADSTS7000215: Wrong.' },
      { status: 401, url: '/t1/oauth2/v2.0/token' },
    );
    expect(formatError(new AzureError(entra))[0]).toBe('Entra ID (tenant t1) answered 401 AADSTS7000215: Wrong.');
    const ended = fault({ status: 'Failed', error: { code: 'AllocationFailed', message: 'no room' } }, { status: 200 });
    expect(formatError(new AzureError(ended))[0]).toBe('The operation failed, AllocationFailed: no room');
    const silent = { ...fault(''), status: 0, code: 'ENOTFOUND', message: 'x could not be reached' };
    expect(formatError(new AzureError(silent))[0]).toBe('No answer, ENOTFOUND: x could not be reached');
    for (const status of [302, 429]) {
      expect(formatError(new AzureError(fault('', { status })))[0]).toBe(
        `management.azure.com answered ${status} with an empty body`,
      );
    }
  });

  test('formats plain errors with their causes, several errors, and other values', () => {
    expect(formatError(new Error('outer', { cause: new Error('inner') }))).toEqual(['outer', 'inner']);
    expect(formatError(new AggregateError([new Error('a'), new Error('b')], 'both'))).toEqual(['a', '', 'b']);
    expect(formatError('text')).toEqual(['text']);
    expect(formatError(new TypeError())).toEqual(['TypeError']);
    const loop = new Error('loop');
    loop.cause = loop;
    expect(formatError(loop)).toEqual(['loop']);
  });

  test('asks for an explanation only when no error brings one', () => {
    const requested: string[] = [];
    const explain = ({ code }: AzureErrorInfo) => {
      requested.push(code);
      return { cause: 'from the catalogue', who: 'you', fix: [] };
    };
    const explainedBy = (error: unknown) => formatError(error, explain)[0];
    expect(explainedBy(new ActionError('creating x', { cause: azure }))).toBe('Cause: from the catalogue');
    expect(explainedBy(new AggregateError([azure]))).toBe('Cause: from the catalogue');
    expect(explainedBy(new ActionError('creating x', { cause: azure, reason: 'its own' }))).toBe('Cause: its own');
    expect(formatError(new Error('no fault'), explain)).toEqual(['no fault']);
    expect(requested).toEqual(['InvalidTemplateDeployment', 'InvalidTemplateDeployment']);
  });

  test('never shows a body or a credential', () => {
    const error = new AzureError(
      fault('<title>Proxy</title> password=hush eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyIn0.x', { status: 502 }),
    );
    expect(formatError(new ActionError('asking', { cause: error })).join('\n')).not.toMatch(/hush|eyJ/);
    expect(formatError(new Error('sent client_assertion=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyIn0.x'))).toEqual([
      'sent client_assertion=<removed>',
    ]);
  });
});

group('errorTitle', () => {
  const version =
    '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/a/images/linux/versions/1.11.0';
  const titled = (cause: string, message?: string) =>
    errorTitle(
      new ActionError(`choosing the image version from ${version}`, {
        ...(message ? { message } : {}),
        reason: cause,
      }),
    );

  test.each([
    [
      'Image linux 1.11.0 is not replicated to westeurope. Replicate it.',
      'Image linux 1.11.0 is not replicated to westeurope',
    ],
    [`Version ${version} does not exist.`, 'Version 1.11.0 does not exist'],
    [
      '`image-tenant-id` is the wrong tenant: the image belongs to t.',
      'image-tenant-id is the wrong tenant: the image belongs to t',
    ],
    [
      'The app lacks Microsoft.Network/virtualNetworks/subnets/join/action on virtualNetworks/hub/subnets/apps.',
      'The app lacks Microsoft.Network/virtualNetworks/subnets/join/action on virtualNetworks/hub/subnets/apps',
    ],
    ['two lines\nof text', 'Two lines'],
    ['hub-nic still uses hub.', 'hub-nic still uses hub'],
    ['login.example answered 500: no token.', 'login.example answered 500: no token'],
    [`${'long '.repeat(60)}end`, `${'Long '.repeat(24).replaceAll(' L', ' l').trim()}…`],
  ])('is the first sentence of the cause %j', (cause, title) => {
    expect(titled(cause)).toBe(title);
  });

  test('is the message of the explained error when it has one', () => {
    expect(titled('There is no role.', 'App a sees no subscription in tenant t.')).toBe(
      'App a sees no subscription in tenant t',
    );
  });

  test("is Azure's innermost code and message when nothing explains it", () => {
    expect(errorTitle(new ActionError('creating vm1', { cause: azure }))).toBe('QuotaExceeded: No cores');
  });

  test('is the activity when nothing else is known', () => {
    expect(errorTitle(new ActionError('creating vm1'))).toBe('Creating vm1 failed');
  });

  test('counts further errors', () => {
    expect(errorTitle(new AggregateError([new Error('a'), new Error('b'), new Error('c')]))).toBe('A (and 2 more)');
  });
});

test.each([
  ['az group list', true],
  ['https://portal.azure.com/#x', true],
  ["gh api repos/o/r --jq '.id'", true],
  ['https://x is a page', false],
  ['Give another `vm-name`.', false],
  ['', false],
])('tell whether %j is a command or a URL', (line, verbatim) => {
  expect(isCommandOrUrl(line)).toBe(verbatim);
});
