import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import { type Entry, all, codeIs, messageMatches, messageText, nobodyNeedsToAct } from './entry.ts';
import { idSegment } from './role-commands.ts';

const usedBy = (fault: AzureErrorInfo) =>
  messageText(
    fault,
    /(?:is in use by(?: the following resources:)?|allocated to resource|existing resource|is attached to VM) (\S+?)\.?(?:\s|$)/,
    '<resource>',
  );

const lockedScope = (fault: AzureErrorInfo) =>
  messageText(fault, /scope\(s\) are locked: '([^']+)'/, '<scope>');

export const cleanupEntries: readonly Entry[] = [
  {
    // NicInUse: https://github.com/hashicorp/terraform-provider-azurerm/issues/8105
    id: 'still-in-use',
    title: 'Something still uses it',
    says: 'InUseNetworkSecurityGroupCannotBeDeleted, PublicIPAddressCannotBeDeleted, InUseSubnetCannotBeDeleted, NicInUse',
    match: codeIs(
      'InUseNetworkSecurityGroupCannotBeDeleted',
      'PublicIPAddressCannotBeDeleted',
      'InUseSubnetCannotBeDeleted',
      'NicInUse',
    ),
    cause: (fault) =>
      `It cannot be deleted while ${usedBy(fault)} uses it, which may just be on its way out.`,
    who: nobodyNeedsToAct,
    fix: (fault) => [
      'The action deletes in order (VM, NIC, public IP and NSG, virtual network) and tries again. If it gave up, someone else attached something; look at:',
      `az resource show --ids ${quoteForShell(usedBy(fault).replace(/\/ipConfigurations\/.*$/i, ''))} --query "{id:id, tags:tags}"`,
      'Then run the action with `operation: delete`.',
    ],
  },
  {
    id: 'nic-reserved',
    title: 'The NIC is reserved after a failed create',
    says: 'NicReservedForAnotherVm: Nic(s) in request is reserved for another Virtual Machine for 180 seconds',
    match: codeIs('NicReservedForAnotherVm'),
    cause: (fault) =>
      `After a failed create the NIC stays reserved for its VM (${messageText(fault, /Reserved VM: (\S+)/, '<vm-id>')}) for ${messageText(fault, /for (\d+) seconds/, '180')} seconds.`,
    who: nobodyNeedsToAct,
    fix: ['If the action was stopped before that time was over, run it with `operation: delete`.'],
  },
  {
    id: 'disk-attached',
    title: 'The disk is attached to a VM',
    says: 'OperationNotAllowed: Disk … is attached to VM',
    match: all(codeIs('OperationNotAllowed'), messageMatches(/Disk .* is attached to VM/i)),
    cause: (fault) =>
      `Disk ${messageText(fault, /Disk (\S+)/, '<disk>')} cannot be deleted while VM ${usedBy(fault)} is there.`,
    who: nobodyNeedsToAct,
    fix: [
      'The action deletes the VM first and tries again. If it gave up, the disk was attached to another VM: detach it, then run the action with `operation: delete`.',
    ],
  },
  {
    id: 'locked',
    title: 'A lock forbids it',
    says: 'ScopeLocked: … cannot perform … operation because following scope(s) are locked',
    match: codeIs('ScopeLocked'),
    cause: (fault) =>
      `A management lock on ${lockedScope(fault)} forbids the ${messageText(fault, /cannot perform (\w+) operation/, 'write or delete')}.`,
    who: (fault, known) => {
      const group = idSegment(lockedScope(fault), 'resourceGroups') ?? known.resourceGroup;
      return `the owner of resource group ${group}, in the VM's tenant (${known.tenantId})`;
    },
    fix: (fault, known) => {
      const scope = lockedScope(fault);
      const subscription = idSegment(scope, 'subscriptions') ?? known.subscriptionId;
      const group = idSegment(scope, 'resourceGroups') ?? known.resourceGroup;
      return [
        'Find the lock, and delete it if that is right; then run the action with `operation: delete`, or run the job again:',
        `az lock list --subscription ${subscription} -g ${quoteForShell(group)} --query "[].{level:level, id:id}" -o table`,
        'az lock delete --ids <lock-id>',
      ];
    },
  },
];
