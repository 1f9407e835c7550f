/** A plain HTTPS client for the simulator's own tests: nothing of an SDK between the test and the wire. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { defaults, type Simulator } from '../../simulator/index.ts';

export type Body = any;

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
}

export interface Client {
  send(method: string, url: string, options?: { headers?: Record<string, string>; body?: unknown }): Promise<Reply>;
  token(tenant: string, form?: Record<string, string>): Promise<Reply>;
  /** A call of Resource Manager with the deploying principal's token. */
  arm(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Polls Azure-AsyncOperation, or Location, to its end. */
  settle(reply: Reply): Promise<Reply>;
  readonly group: string;
}

export const scope = 'https://management.simulator.localhost//.default';

export async function connect(simulator: Simulator): Promise<Client> {
  const agent = new https.Agent({ ca: readFileSync(simulator.certificateFile), keepAlive: true });
  const send: Client['send'] = (method, url, options = {}) =>
    new Promise((resolve, reject) => {
      const body =
        options.body === undefined || typeof options.body === 'string' ? options.body : JSON.stringify(options.body);
      const headers = {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      };
      const request = https.request(url, { method, headers, agent }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          const json = (response.headers['content-type'] ?? '').includes('json');
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string>,
            body: text === '' ? undefined : json ? JSON.parse(text) : text,
          });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  const token: Client['token'] = (tenant, form = { client_secret: defaults.clientSecret }) =>
    send('POST', `${simulator.loginEndpoint}/${tenant}/oauth2/v2.0/token`, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        client_id: defaults.clientId,
        grant_type: 'client_credentials',
        scope,
        ...form,
      }).toString(),
    });
  let bearer: string | undefined;
  const arm: Client['arm'] = async (method, path, body, headers = {}) => {
    bearer ??= (await token(defaults.tenantId)).body.access_token as string;
    const url = path.startsWith('https://') ? path : `${simulator.armEndpoint}${path}`;
    return send(method, url, { headers: { authorization: `Bearer ${bearer}`, ...headers }, body });
  };
  const settle: Client['settle'] = async (reply) => {
    const url = reply.headers['azure-asyncoperation'] ?? reply.headers['location'];
    if (url === undefined) throw new Error('nothing to poll');
    for (;;) {
      const poll = await arm('GET', url);
      if (poll.status !== 202 && poll.body?.status !== 'InProgress') return poll;
      simulator.world.clock.advance(5);
    }
  };
  return {
    send,
    token,
    arm,
    settle,
    group: `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`,
  };
}
