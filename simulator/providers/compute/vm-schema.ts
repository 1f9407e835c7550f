// What the body of a virtual machine may hold: the members of the API's model (REST reference of
// virtual-machines/create-or-update, 2026-04-01) that the simulator understands or stores as they are. Compute's words
// for anything else were not recorded: it is a 501, and so is another spelling of a name or a value, which Azure takes
// and the handlers would pass over.
import { checkShape, type ObjectShape, type Shape } from '../../http/body-schema.ts';
import { unknown } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';

function object(type: string, members: Readonly<Record<string, Shape>>): ObjectShape {
  return { type, members };
}
const oneOf = (...values: string[]): Shape => ({ oneOf: values });

const reference = object('SubResource', { id: 'string' });
const caching = oneOf('None', 'ReadOnly', 'ReadWrite');
const deleteOption = oneOf('Delete', 'Detach');
const approval = object('UserInitiatedReboot', { automaticallyApprove: 'boolean' });
const notification = object('NotificationProfile', { enable: 'boolean', notBeforeTimeout: 'string' });
const hostEndpoint = object('HostEndpointSettings', {
  mode: oneOf('Audit', 'Enforce', 'Disabled'),
  inVMAccessControlProfileReferenceId: 'string',
  useLocalFileRules: 'boolean',
});
const assessmentMode = oneOf('ImageDefault', 'AutomaticByPlatform');
const automaticByPlatformSettings = object('PatchAutomaticByPlatformSettings', {
  rebootSetting: oneOf('Unknown', 'IfRequired', 'Never', 'Always'),
  bypassPlatformSafetyChecksOnUserSchedule: 'boolean',
});

const managedDisk = object('ManagedDiskParameters', {
  id: 'string',
  storageAccountType: oneOf(
    'Standard_LRS',
    'Premium_LRS',
    'StandardSSD_LRS',
    'UltraSSD_LRS',
    'Premium_ZRS',
    'StandardSSD_ZRS',
    'PremiumV2_LRS',
  ),
  diskEncryptionSet: reference,
  securityProfile: object('VMDiskSecurityProfile', {
    securityEncryptionType: oneOf('VMGuestStateOnly', 'DiskWithVMGuestState', 'NonPersistedTPM'),
    diskEncryptionSet: reference,
  }),
});

// Whatever a rule of its own judges, with Azure's refusal, is `any` here.
const model = object('VirtualMachine', {
  id: 'readonly',
  name: 'readonly',
  type: 'readonly',
  etag: 'readonly',
  systemData: 'readonly',
  location: 'any',
  tags: 'any',
  zones: 'any',
  identity: object('VirtualMachineIdentity', {
    type: 'any',
    userAssignedIdentities: 'any',
    principalId: 'readonly',
    tenantId: 'readonly',
  }),
  plan: object('Plan', { name: 'string', publisher: 'string', product: 'string', promotionCode: 'string' }),
  placement: object('Placement', {
    zonePlacementPolicy: 'string',
    includeZones: ['string'],
    excludeZones: ['string'],
  }),
  extendedLocation: object('ExtendedLocation', { name: 'string', type: 'string' }),
  properties: object('VirtualMachineProperties', {
    hardwareProfile: object('HardwareProfile', {
      vmSize: 'any',
      vmSizeProperties: object('VMSizeProperties', { vCPUsAvailable: 'integer', vCPUsPerCore: 'integer' }),
    }),
    storageProfile: object('StorageProfile', {
      imageReference: object('ImageReference', {
        id: 'any',
        sharedGalleryImageId: 'any',
        communityGalleryImageId: 'any',
        publisher: 'any',
        offer: 'any',
        sku: 'any',
        version: 'any',
        exactVersion: 'any',
      }),
      osDisk: object('OSDisk', {
        name: 'string',
        osType: 'any',
        createOption: 'any',
        caching,
        diskSizeGB: 'integer',
        managedDisk,
        deleteOption,
        writeAcceleratorEnabled: 'boolean',
        diffDiskSettings: object('DiffDiskSettings', {
          option: oneOf('Local'),
          placement: oneOf('CacheDisk', 'ResourceDisk', 'NvmeDisk'),
          enableFullCaching: 'boolean',
        }),
      }),
      dataDisks: [
        object('DataDisk', {
          lun: 'any',
          name: 'string',
          createOption: 'any',
          caching,
          diskSizeGB: 'integer',
          managedDisk,
          deleteOption,
          writeAcceleratorEnabled: 'boolean',
          sourceResource: reference,
          toBeDetached: 'boolean',
        }),
      ],
      diskControllerType: oneOf('SCSI', 'NVMe'),
      alignRegionalDisksToVMZone: 'boolean',
    }),
    osProfile: object('OSProfile', {
      computerName: 'any',
      adminUsername: 'any',
      adminPassword: 'any',
      customData: 'any',
      windowsConfiguration: object('WindowsConfiguration', {
        provisionVMAgent: 'boolean',
        enableAutomaticUpdates: 'boolean',
        timeZone: 'string',
        patchSettings: object('PatchSettings', {
          patchMode: oneOf('Manual', 'AutomaticByOS', 'AutomaticByPlatform'),
          enableHotpatching: 'boolean',
          assessmentMode,
          automaticByPlatformSettings,
        }),
        enableVMAgentPlatformUpdates: 'boolean',
        additionalUnattendContent: [
          object('AdditionalUnattendContent', {
            passName: oneOf('OobeSystem'),
            componentName: oneOf('Microsoft-Windows-Shell-Setup'),
            settingName: oneOf('AutoLogon', 'FirstLogonCommands'),
            content: 'string',
          }),
        ],
        winRM: object('WinRMConfiguration', {
          listeners: [
            object('WinRMListener', { protocol: oneOf('Http', 'Https'), certificateUrl: 'string' }),
          ],
        }),
      }),
      linuxConfiguration: object('LinuxConfiguration', {
        disablePasswordAuthentication: 'boolean',
        ssh: object('SshConfiguration', {
          publicKeys: [object('SshPublicKey', { path: 'any', keyData: 'any' })],
        }),
        provisionVMAgent: 'boolean',
        patchSettings: object('LinuxPatchSettings', {
          patchMode: oneOf('ImageDefault', 'AutomaticByPlatform'),
          assessmentMode,
          automaticByPlatformSettings,
        }),
        enableVMAgentPlatformUpdates: 'boolean',
      }),
      secrets: [
        object('VaultSecretGroup', {
          sourceVault: reference,
          vaultCertificates: [
            object('VaultCertificate', { certificateUrl: 'string', certificateStore: 'string' }),
          ],
        }),
      ],
      allowExtensionOperations: 'boolean',
      requireGuestProvisionSignal: 'boolean',
    }),
    networkProfile: object('NetworkProfile', {
      networkInterfaces: [
        object('NetworkInterfaceReference', {
          id: 'any',
          properties: object('NetworkInterfaceReferenceProperties', { primary: 'boolean', deleteOption }),
        }),
      ],
      networkApiVersion: 'string',
    }),
    securityProfile: object('SecurityProfile', {
      securityType: 'any',
      uefiSettings: object('UefiSettings', { secureBootEnabled: 'boolean', vTpmEnabled: 'boolean' }),
      encryptionAtHost: 'boolean',
      encryptionIdentity: object('EncryptionIdentity', { userAssignedIdentityResourceId: 'string' }),
      proxyAgentSettings: object('ProxyAgentSettings', {
        enabled: 'boolean',
        mode: oneOf('Audit', 'Enforce'),
        keyIncarnationId: 'integer',
        wireServer: hostEndpoint,
        imds: hostEndpoint,
        addProxyAgentExtension: 'boolean',
      }),
    }),
    diagnosticsProfile: object('DiagnosticsProfile', {
      bootDiagnostics: object('BootDiagnostics', { enabled: 'boolean', storageUri: 'string' }),
    }),
    priority: 'any',
    evictionPolicy: 'any',
    billingProfile: object('BillingProfile', { maxPrice: 'any' }),
    licenseType: 'string',
    userData: 'any',
    additionalCapabilities: object('AdditionalCapabilities', {
      ultraSSDEnabled: 'boolean',
      hibernationEnabled: 'boolean',
      enableFips1403Encryption: 'boolean',
    }),
    scheduledEventsProfile: object('ScheduledEventsProfile', {
      terminateNotificationProfile: notification,
      osImageNotificationProfile: notification,
    }),
    scheduledEventsPolicy: object('ScheduledEventsPolicy', {
      userInitiatedRedeploy: approval,
      userInitiatedReboot: approval,
      allInstancesDown: approval,
      scheduledEventsAdditionalPublishingTargets: object('ScheduledEventsAdditionalPublishingTargets', {
        eventGridAndResourceGraph: object('EventGridAndResourceGraph', {
          enable: 'boolean',
          scheduledEventsApiVersion: 'string',
        }),
      }),
    }),
    extensionsTimeBudget: 'string',
    applicationProfile: object('ApplicationProfile', {
      galleryApplications: [
        object('VMGalleryApplication', {
          tags: 'string',
          order: 'integer',
          packageReferenceId: 'string',
          configurationReference: 'string',
          treatFailureAsDeploymentFailure: 'boolean',
          enableAutomaticUpgrade: 'boolean',
        }),
      ],
    }),
    resiliencyProfile: object('ResiliencyProfile', {
      zoneMovement: object('ZoneMovement', { isEnabled: 'boolean' }),
    }),
    platformFaultDomain: 'integer',
    capacityReservation: object('CapacityReservationProfile', {
      capacityReservationGroup: reference,
      disableCapacityReservationAssignment: 'boolean',
    }),
    availabilitySet: reference,
    proximityPlacementGroup: reference,
    host: reference,
    hostGroup: reference,
    virtualMachineScaleSet: reference,
    // Sent back by clients that PUT what they got; ignored.
    provisioningState: 'readonly',
    vmId: 'readonly',
    instanceView: 'readonly',
    timeCreated: 'readonly',
  }),
});

/** 501 for what the simulator has no model of: silence would look like Azure accepting it. */
export function checkModel(body: Json): void {
  checkShape(body, model, (path, message) => unknown(`'${path}' of virtualMachines: ${message}`), {
    exactNames: true,
  });
}
