/** Each compared property, and how a GET answer in the REST shape changes in that property alone. */
/** Inputs that request every compared property. */
export const inputs = {
  location: 'westeurope',
  'vm-size': 'Standard_D2s_v5',
  zone: '1',
  identity: 'puller',
  'admin-username': 'alice',
  'ssh-public-key': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD0NLGbY4HbU8Z1ahbDX4n8Y0WqYnVtfL9XWq8m2cB',
  'computer-name': 'web',
  'license-type': 'RHEL_BYOS',
  spot: 'true',
  'max-price': '0.5',
  'eviction-policy': 'Deallocate',
  'os-disk-size-gb': '64',
  'os-disk-type': 'Premium_LRS',
  'encryption-at-host': 'true',
  'security-type': 'TrustedLaunch',
  'private-ip-address': '192.168.1.10',
  'accelerated-networking': 'true',
  'dns-label': 'shop',
  'allow-inbound': '22 from 203.0.113.0/24',
  overrides: JSON.stringify({
    vm: {
      properties: {
        storageProfile: {
          diskControllerType: 'SCSI',
          dataDisks: [0, 1].map((lun) => ({
            lun,
            createOption: 'Empty',
            deleteOption: 'Delete',
            diskSizeGB: 32,
            managedDisk: { storageAccountType: 'Premium_LRS' },
          })),
        },
      },
    },
  }),
};

export type Part = 'machine' | 'nic' | 'nsg' | 'vnet' | 'publicIp';

export interface Change {
  readonly part: Part;
  readonly apply: (body: any) => void;
}

const inPart =
  (part: Part) =>
  (apply: Change['apply']): Change => ({ part, apply });
const machine = inPart('machine');
const nic = inPart('nic');

/** No change undoes another of the same part, except that a VM of regular priority has no Spot settings. */
export const changes = {
  region: machine((vm) => (vm.location = 'northeurope')),
  image: machine(({ properties: { storageProfile } }) => {
    const { imageReference } = storageProfile;
    imageReference.id = imageReference.id.replace('/images/linux/', '/images/linux-data-disks/');
  }),
  'operating system': machine(({ properties }) => (properties.storageProfile.osDisk.osType = 'Windows')),
  size: machine(({ properties }) => (properties.hardwareProfile.vmSize = 'Standard_D4s_v5')),
  zone: machine((vm) => (vm.zones = ['2'])),
  'network interface': machine(({ properties }) => (properties.networkProfile.networkInterfaces[0].id += '2')),
  identity: machine((vm) => (vm.identity = { type: 'SystemAssigned' })),
  'admin user': machine(({ properties }) => (properties.osProfile.adminUsername = 'Alice')),
  'SSH public keys': machine(({ properties }) => {
    const [first] = properties.osProfile.linuxConfiguration.ssh.publicKeys;
    first.keyData = first.keyData.replace('JdD0', 'jdD0');
  }),
  'host name': machine(({ properties }) => (properties.osProfile.computerName = 'db')),
  license: machine(({ properties }) => delete properties.licenseType),
  priority: machine(({ properties }) => (properties.priority = 'Regular')),
  'eviction policy': machine(({ properties }) => (properties.evictionPolicy = 'Delete')),
  'Spot price limit': machine(({ properties }) => (properties.billingProfile.maxPrice = -1)),
  'OS disk size in GB': machine(({ properties }) => (properties.storageProfile.osDisk.diskSizeGB = 128)),
  'OS disk type': machine(({ properties }) => {
    properties.storageProfile.osDisk.managedDisk.storageAccountType = 'Standard_LRS';
  }),
  'disk controller': machine(({ properties }) => (properties.storageProfile.diskControllerType = 'NVMe')),
  'LUNs of data disks': machine(({ properties }) => properties.storageProfile.dataDisks.pop()),
  'sizes of data disks in GB': machine(({ properties }) => (properties.storageProfile.dataDisks[0].diskSizeGB = 64)),
  'types of data disks': machine(({ properties }) => {
    properties.storageProfile.dataDisks[0].managedDisk.storageAccountType = 'Standard_LRS';
  }),
  'encryption at host': machine(({ properties }) => delete properties.securityProfile.encryptionAtHost),
  'security type': machine(({ properties }) => delete properties.securityProfile.securityType),
  'region of the network interface': nic((body) => (body.location = 'northeurope')),
  'region of the network security group': inPart('nsg')((nsg) => (nsg.location = 'northeurope')),
  'region of the virtual network': inPart('vnet')((vnet) => (vnet.location = 'northeurope')),
  'region of the public IP': inPart('publicIp')((ip) => (ip.location = 'northeurope')),
  subnet: nic((body) => (primary(body).subnet.id += '2')),
  'public IP': nic((body) => delete primary(body).publicIPAddress),
  'private address': nic((body) => (primary(body).privateIPAddress = '192.168.1.11')),
  'network security group': nic(({ properties }) => delete properties.networkSecurityGroup),
  'accelerated networking': nic(({ properties }) => (properties.enableAcceleratedNetworking = false)),
  'address prefix': inPart('vnet')(({ properties }) => (properties.addressSpace.addressPrefixes = ['10.0.0.0/16'])),
  'subnet prefix': inPart('vnet')(({ properties }) => {
    properties.subnets[0].properties.addressPrefix = '192.168.2.0/24';
  }),
  'DNS label': inPart('publicIp')(({ properties }) => (properties.dnsSettings.domainNameLabel = 'store')),
  'inbound rules': inPart('nsg')(({ properties }) => (properties.securityRules[0].properties.access = 'Deny')),
};

export type ComparedProperty = keyof typeof changes;

/** Everything that is compared with the inputs: on a rerun, by `check`, and after a create. */
export const comparedProperties = Object.keys(changes) as ComparedProperty[];

function primary({ properties }: any): any {
  return properties.ipConfigurations[0].properties;
}
