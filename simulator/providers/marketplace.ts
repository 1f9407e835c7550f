// Microsoft.MarketplaceOrdering: terms of purchase plans.
// https://learn.microsoft.com/rest/api/marketplaceordering/marketplace-agreements
import type { Call, Provider, Route } from '../http/provider.ts';
import { notModelled } from '../model/arm-error.ts';
import type { Json } from '../model/contract.ts';
import type { World } from '../world/world.ts';

interface Plan {
  readonly publisher: string;
  readonly product: string;
  readonly name: string;
}

function acceptedPlans(world: World): Set<string> {
  return world.extension('marketplace', () => new Set<string>());
}

function planKey(subscription: string, plan: Plan): string {
  return [subscription, plan.publisher, plan.product, plan.name].join('/').toLowerCase();
}

export function termsAccepted(world: World, subscription: string, plan: Plan): boolean {
  return acceptedPlans(world).has(planKey(subscription, plan));
}

/** Accepts the terms, as `az vm image terms accept` does. */
export function acceptTerms(world: World, subscription: string, plan: Plan): void {
  acceptedPlans(world).add(planKey(subscription, plan));
}

function planOf(call: Call): Plan {
  const { publisher = '', offer = '', plan = '' } = call.params;
  return { publisher, product: offer, name: plan };
}

function termsBody(call: Call): Json {
  const { publisher, product, name } = planOf(call);
  const mark = 'https://mpcprodsa.blob.core.windows.net';
  return {
    id: `/subscriptions/${call.subscription.id}/providers/Microsoft.MarketplaceOrdering/offerTypes/Virtual Machine/publishers/${publisher}/offers/${product}/plans/${name}/agreements/current`,
    name,
    type: 'Microsoft.MarketplaceOrdering/offertypes',
    properties: {
      publisher,
      product,
      plan: name,
      licenseTextLink: `${mark}/legalterms/${publisher}.txt`,
      privacyPolicyLink: `${mark}/privacypolicy/${publisher}.txt`,
      marketplaceTermsLink: `${mark}/marketplaceterms/azurevm.txt`,
      retrieveDatetime: call.world.clock.timestamp(),
      signature: 'SIMULATED',
      accepted: termsAccepted(call.world, call.subscription.id, planOf(call)),
    },
  };
}

const currentPath =
  '/subscriptions/:subscriptionId/providers/Microsoft.MarketplaceOrdering/offerTypes/:offerType/publishers/:publisher/offers/:offer/plans/:plan/agreements/current';
const action = 'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements';

const get: Route = {
  method: 'GET',
  path: currentPath,
  kind: 'terms.get',
  action: `${action}/read`,
  handle: (call) => ({ status: 200, body: termsBody(call) }),
};

export const marketplaceProvider: Provider = {
  namespace: 'Microsoft.MarketplaceOrdering',
  types: [{ name: 'offertypes', apiVersions: ['2021-01-01', '2015-06-01'] }],
  routes: [
    get,
    {
      method: 'PUT',
      path: currentPath,
      kind: 'terms.put',
      action: `${action}/write`,
      needsRegistration: false,
      handle: (call) => {
        if (call.body['properties']?.accepted !== true)
          throw notModelled('an agreement that is put without accepted: true');
        acceptTerms(call.world, call.subscription.id, planOf(call));
        return { status: 200, body: termsBody(call) };
      },
    },
  ],
};
