import type { FastifyRequest } from 'fastify';
import { compactVerify, decodeJwt } from 'jose';
import { ArmError } from '../model/arm-error.ts';
import type { Caller } from '../model/contract.ts';
import type { World } from '../world/world.ts';
import { signingKey } from './keys.ts';
import { audiences } from './metadata.ts';

export class TokenReader {
  readonly #world: World;
  /** Signatures are verified once per token; expiry is checked on each request. */
  readonly #verified = new Map<string, { caller: Caller; audience: string; complete: boolean }>();

  constructor(world: World) {
    this.#world = world;
  }

  /**
   * The caller, or undefined without an Authorization header.
   *
   * @throws ArmError 401 for an invalid token.
   */
  async primary(request: FastifyRequest): Promise<Caller | undefined> {
    const header = request.headers.authorization;
    if (header === undefined) return undefined;
    const token = /^Bearer\s+(\S+)$/i.exec(header)?.[1];
    const known = token === undefined ? undefined : await this.#read(token);
    if (!known) throw unauthenticatedError('InvalidAuthenticationToken', 'The access token is invalid.');
    const { caller } = known;
    request.state.exchange.caller = { tenant: caller.tenant, app: caller.app, oid: caller.oid };
    if (!this.#isForUs(known.audience)) {
      const allowed = audiences.flatMap((name) => [`'${name}'`, `'${name.replace(/\/$/, '')}'`]).join(',');
      throw unauthenticatedError(
        'InvalidAuthenticationTokenAudience',
        `The access token has been obtained for wrong audience or resource '${known.audience}'. It should exactly match with one of the allowed audiences ${allowed}.`,
      );
    }
    if (caller.expires <= Date.now()) throw expiredTokenError(caller);
    if (!known.complete || !this.#world.principals.has(caller.oid.toLowerCase())) {
      throw unauthenticatedError(
        'InvalidAuthenticationToken',
        "The received access token is not valid: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present. If you are accessing as application please make sure service principal is properly created in the tenant.",
      );
    }
    return caller;
  }

  /**
   * Callers of the auxiliary tokens. Documented: at most three, all of the same app and valid, otherwise 401 with the
   * client and tenant ID of the wrong one. Code and text of the error are assumed.
   */
  async auxiliary(request: FastifyRequest, primary: Caller): Promise<Caller[]> {
    const header = request.headers['x-ms-authorization-auxiliary'];
    if (header === undefined || header === '') return [];
    const parts = String(header).split(',');
    const callers: Caller[] = [];
    const refused = (why: string, caller?: Caller): ArmError =>
      unauthenticatedError(
        'InvalidAuthenticationToken',
        `The auxiliary token${caller ? ` of client '${caller.app}' and tenant '${caller.tenant}'` : ''} is not valid: ${why}.`,
      );
    for (const part of parts) {
      const token = /^\s*Bearer\s+(\S+)\s*$/i.exec(part)?.[1];
      const known = token === undefined ? undefined : await this.#read(token);
      if (!known) throw refused('it cannot be read; each must be sent as Bearer <token>');
      const { caller } = known;
      callers.push(caller);
      request.state.exchange.auxiliary = callers.map(({ tenant, app }) => ({ tenant, app }));
      if (callers.length > 3) throw refused('at most three auxiliary tokens are accepted', caller);
      if (caller.expires <= Date.now()) throw refused('it has expired', caller);
      if (!this.#isForUs(known.audience)) throw refused('its audience is wrong', caller);
      if (caller.app !== primary.app) throw refused('it is of another application', caller);
    }
    return callers;
  }

  #isForUs(audience: string): boolean {
    return [...audiences, ...this.#world.tokens.audiences].some(
      (accepted) => normalizeAudience(accepted) === normalizeAudience(audience),
    );
  }

  async #read(token: string): Promise<{ caller: Caller; audience: string; complete: boolean } | undefined> {
    const cached = this.#verified.get(token);
    if (cached) return cached;
    try {
      const key = (await signingKey('entra')).publicKey;
      const signed = this.#world.tokens.opaqueTokens.get(token) ?? token;
      // Verifies the signature only: expired tokens get their own error.
      await compactVerify(signed, key, { algorithms: ['RS256'] });
      const payload = decodeJwt(signed);
      const claim = (name: string): string => (typeof payload[name] === 'string' ? payload[name] : '');
      const known = {
        caller: {
          tenant: claim('tid'),
          app: claim('appid'),
          oid: claim('oid'),
          expires: (payload.exp ?? 0) * 1000,
        },
        audience: claim('aud'),
        complete: claim('oid') !== '',
      };
      this.#verified.set(token, known);
      return known;
    } catch {
      return undefined;
    }
  }
}

export function unauthenticatedError(code: string, message: string, authority = ''): ArmError {
  const uri = authority === '' ? '' : `authorization_uri="${authority}", `;
  return new ArmError(401, code, message, {
    gateway: true,
    headers: { 'www-authenticate': `Bearer ${uri}error="invalid_token", error_description="${message}"` },
  });
}

function expiredTokenError(caller: Caller): ArmError {
  // .NET's en-US format of UTC times: 3/19/2023 8:55:46 AM.
  const text = (at: number): string =>
    new Date(at).toLocaleString('en-US', { timeZone: 'UTC' }).replace(',', '').replaceAll(' ', ' ');
  return unauthenticatedError(
    'ExpiredAuthenticationToken',
    `The access token expiry UTC time '${text(caller.expires)}' is earlier than current UTC time '${text(Date.now())}'.`,
  );
}

export function normalizeAudience(audience: string): string {
  return audience.replace(/\/+$/, '').toLowerCase();
}
