// Schema of a VM's body (REST reference of virtual-machines/create-or-update, 2026-04-01). Compute's error for
// anything
// else was not recorded and gives a 501, also for names and values in another case, which Azure accepts.
import { checkBody, type ObjectSchema, type Schema } from '../../http/body-schema.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';

function schema(type: string, members: Readonly<Record<string, Schema>>): ObjectSchema {
  return { type, members };
}
const oneOf = (...values: string[]): Schema => ({ oneOf: values });

const reference = schema('SubResource', { id: 'string' });
const caching = oneOf('None', 'ReadOnly', 'ReadWrite');
const deleteOption = oneOf('Delete', 'Detach');
const approval = schema('UserInitiatedReboot', { automaticallyApprove: 'boolean' });
const notification = schema('NotificationProfile', { enable: 'boolean', notBeforeTimeout: 'string' });
const hostEndpoint = schema('HostEndpointSettings', {
  mode: oneOf('Audit', 'Enforce', 'Disabled'),
  inVMAccessControlProfileReferenceId: 'string',
  useLocalFileRules: 'boolean',
});
const assessmentMode = oneOf('ImageDefault', 'AutomaticByPlatform');
const automaticByPlatformSettings = schema('PatchAutomaticByPlatformSettings', {
  rebootSetting: oneOf('Unknown', 'IfRequired', 'Never', 'Always'),
  bypassPlatformSafetyChecksOnUserSchedule: 'boolean',
});

const managedDisk = schema('ManagedDiskParameters', {
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
  securityProfile: schema('VMDiskSecurityProfile', {
    securityEncryptionType: oneOf('VMGuestStateOnly', 'DiskWithVMGuestState', 'NonPersistedTPM'),
    diskEncryptionSet: reference,
  }),
});

// `any`: values that a later rule checks, with Azure's error.
const vmSchema = schema('VirtualMachine', {
  id: 'readonly',
  name: 'readonly',
  type: 'readonly',
  etag: 'readonly',
  systemData: 'readonly',
  location: 'any',
  tags: 'any',
  zones: 'any',
  identity: schema('VirtualMachineIdentity', {
    type: 'any',
    userAssignedIdentities: 'any',
    principalId: 'readonly',
    tenantId: 'readonly',
  }),
  plan: schema('Plan', { name: 'string', publisher: 'string', product: 'string', promotionCode: 'string' }),
  placement: schema('Placement', {
    zonePlacementPolicy: 'string',
    includeZones: ['string'],
    excludeZones: ['string'],
  }),
  extendedLocation: schema('ExtendedLocation', { name: 'string', type: 'string' }),
  properties: schema('VirtualMachineProperties', {
    hardwareProfile: schema('HardwareProfile', {
      vmSize: 'any',
      vmSizeProperties: schema('VMSizeProperties', { vCPUsAvailable: 'integer', vCPUsPerCore: 'integer' }),
      processorMode: 'string',
    }),
    storageProfile: schema('StorageProfile', {
      imageReference: schema('ImageReference', {
        id: 'any',
        sharedGalleryImageId: 'any',
        communityGalleryImageId: 'any',
        publisher: 'any',
        offer: 'any',
        sku: 'any',
        version: 'any',
        exactVersion: 'any',
      }),
      osDisk: schema('OSDisk', {
        name: 'string',
        osType: 'any',
        createOption: 'any',
        caching,
        diskSizeGB: 'integer',
        managedDisk,
        deleteOption,
        writeAcceleratorEnabled: 'boolean',
        diffDiskSettings: schema('DiffDiskSettings', {
          option: oneOf('Local'),
          placement: oneOf('CacheDisk', 'ResourceDisk', 'NvmeDisk'),
          enableFullCaching: 'boolean',
        }),
      }),
      dataDisks: [
        schema('DataDisk', {
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
          diskIOPSReadWrite: 'integer',
          diskMBpsReadWrite: 'integer',
        }),
      ],
      diskControllerType: oneOf('SCSI', 'NVMe'),
      alignRegionalDisksToVMZone: 'boolean',
    }),
    osProfile: schema('OSProfile', {
      computerName: 'any',
      adminUsername: 'any',
      adminPassword: 'any',
      customData: 'any',
      windowsConfiguration: schema('WindowsConfiguration', {
        provisionVMAgent: 'boolean',
        enableAutomaticUpdates: 'boolean',
        timeZone: 'string',
        patchSettings: schema('PatchSettings', {
          patchMode: oneOf('Manual', 'AutomaticByOS', 'AutomaticByPlatform'),
          enableHotpatching: 'boolean',
          assessmentMode,
          automaticByPlatformSettings,
        }),
        enableVMAgentPlatformUpdates: 'boolean',
        additionalUnattendContent: [
          schema('AdditionalUnattendContent', {
            passName: oneOf('OobeSystem'),
            componentName: oneOf('Microsoft-Windows-Shell-Setup'),
            settingName: oneOf('AutoLogon', 'FirstLogonCommands'),
            content: 'string',
          }),
        ],
        winRM: schema('WinRMConfiguration', {
          listeners: [schema('WinRMListener', { protocol: oneOf('Http', 'Https'), certificateUrl: 'string' })],
        }),
      }),
      linuxConfiguration: schema('LinuxConfiguration', {
        disablePasswordAuthentication: 'boolean',
        ssh: schema('SshConfiguration', {
          publicKeys: [schema('SshPublicKey', { path: 'any', keyData: 'any' })],
        }),
        provisionVMAgent: 'boolean',
        patchSettings: schema('LinuxPatchSettings', {
          patchMode: oneOf('ImageDefault', 'AutomaticByPlatform'),
          assessmentMode,
          automaticByPlatformSettings,
        }),
        enableVMAgentPlatformUpdates: 'boolean',
      }),
      secrets: [
        schema('VaultSecretGroup', {
          sourceVault: reference,
          vaultCertificates: [schema('VaultCertificate', { certificateUrl: 'string', certificateStore: 'string' })],
        }),
      ],
      allowExtensionOperations: 'boolean',
      requireGuestProvisionSignal: 'boolean',
    }),
    networkProfile: schema('NetworkProfile', {
      networkInterfaces: [
        schema('NetworkInterfaceReference', {
          id: 'any',
          properties: schema('NetworkInterfaceReferenceProperties', { primary: 'boolean', deleteOption }),
        }),
      ],
      networkApiVersion: 'string',
    }),
    securityProfile: schema('SecurityProfile', {
      securityType: 'any',
      uefiSettings: schema('UefiSettings', { secureBootEnabled: 'boolean', vTpmEnabled: 'boolean' }),
      encryptionAtHost: 'boolean',
      encryptionIdentity: schema('EncryptionIdentity', { userAssignedIdentityResourceId: 'string' }),
      proxyAgentSettings: schema('ProxyAgentSettings', {
        enabled: 'boolean',
        mode: oneOf('Audit', 'Enforce'),
        keyIncarnationId: 'integer',
        wireServer: hostEndpoint,
        imds: hostEndpoint,
        addProxyAgentExtension: 'boolean',
      }),
    }),
    diagnosticsProfile: schema('DiagnosticsProfile', {
      bootDiagnostics: schema('BootDiagnostics', { enabled: 'boolean', storageUri: 'string' }),
    }),
    priority: 'any',
    evictionPolicy: 'any',
    billingProfile: schema('BillingProfile', { maxPrice: 'any' }),
    licenseType: 'string',
    userData: 'any',
    additionalCapabilities: schema('AdditionalCapabilities', {
      ultraSSDEnabled: 'boolean',
      hibernationEnabled: 'boolean',
      enableFips1403Encryption: 'boolean',
    }),
    scheduledEventsProfile: schema('ScheduledEventsProfile', {
      terminateNotificationProfile: notification,
      osImageNotificationProfile: notification,
    }),
    scheduledEventsPolicy: schema('ScheduledEventsPolicy', {
      userInitiatedRedeploy: approval,
      userInitiatedReboot: approval,
      allInstancesDown: approval,
      scheduledEventsAdditionalPublishingTargets: schema('ScheduledEventsAdditionalPublishingTargets', {
        eventGridAndResourceGraph: schema('EventGridAndResourceGraph', {
          enable: 'boolean',
          scheduledEventsApiVersion: 'string',
        }),
      }),
    }),
    extensionsTimeBudget: 'string',
    applicationProfile: schema('ApplicationProfile', {
      galleryApplications: [
        schema('VMGalleryApplication', {
          tags: 'string',
          order: 'integer',
          packageReferenceId: 'string',
          configurationReference: 'string',
          treatFailureAsDeploymentFailure: 'boolean',
          enableAutomaticUpgrade: 'boolean',
        }),
      ],
    }),
    resiliencyProfile: schema('ResiliencyProfile', {
      zoneMovement: schema('ZoneMovement', { isEnabled: 'boolean' }),
    }),
    platformFaultDomain: 'integer',
    capacityReservation: schema('CapacityReservationProfile', {
      capacityReservationGroup: reference,
      disableCapacityReservationAssignment: 'boolean',
    }),
    availabilitySet: reference,
    proximityPlacementGroup: reference,
    host: reference,
    hostGroup: reference,
    virtualMachineScaleSet: reference,
    // Returned in GETs, so clients may send them back.
    provisioningState: 'readonly',
    vmId: 'readonly',
    instanceView: 'readonly',
    timeCreated: 'readonly',
  }),
});

export function checkVmBody(body: Json): void {
  checkBody(body, vmSchema, (path, message) => notModelled(`'${path}' of virtualMachines: ${message}`), {
    exactNames: true,
  });
}
