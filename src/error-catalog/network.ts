import { quoteForShell } from '../lib/escape.ts';
import { type Entry, all, codeIs, messageText, runnerOwner, statusIs, workflowAuthor } from './entry.ts';

export const networkEntries: readonly Entry[] = [
  {
    // https://github.com/scarolan/azure-terraform-beginners/issues/20
    id: 'dns-label-taken',
    title: 'The DNS label is taken',
    says: 'DnsRecordInUse: DNS record … is already used by another public IP',
    match: codeIs('DnsRecordInUse'),
    cause: (fault) =>
      `${messageText(fault, /DNS record (\S+) is/, '<label>.<location>.cloudapp.azure.com')} belongs to another public IP; labels are shared by all customers of a region.`,
    who: workflowAuthor,
    fix: ['Give another `dns-label`.'],
  },
  {
    // https://github.com/Azure/azure-cli/issues/1237
    id: 'reference-not-found',
    title: 'Something that is referred to is not there',
    says: 'InvalidResourceReference: Resource … referenced by resource … was not found',
    match: codeIs('InvalidResourceReference'),
    cause: (fault) =>
      `${messageText(fault, /Resource (\S+) referenced/, '<resource-id>')} does not exist, or is in another region than ${messageText(fault, /referenced by resource (\S+)/, 'what refers to it')}.`,
    who: workflowAuthor,
    fix: (fault) => [
      'Correct `subnet-id`, `nic-id`, `network-security-group-id` or `public-ip`; all have to be in the region of the VM:',
      `az resource show --ids ${quoteForShell(messageText(fault, /Resource (\S+) referenced/, '<resource-id>'))} --query "{id:id, location:location}"`,
    ],
  },
  {
    // Codes of Node.js: https://nodejs.org/api/tls.html#x509-certificate-error-codes
    id: 'certificate-not-trusted',
    title: "Azure's certificate is not trusted",
    says: 'SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    match: all(statusIs(0), (fault) => certificateErrors.test(fault.code)),
    cause:
      'A proxy on the way signs connections with a certificate authority of its own, and the runner does not know it.',
    who: runnerOwner,
    fix: [
      'Set NODE_EXTRA_CA_CERTS in the environment of the runner to the PEM file of that authority, and restart the runner.',
      'For a private cloud the same goes for the authority of its endpoints.',
    ],
  },
  {
    // Codes of Node.js: https://nodejs.org/api/errors.html#common-system-errors
    id: 'unreachable',
    title: 'Azure could not be reached',
    says: 'ENOTFOUND, ECONNREFUSED, ECONNRESET, ETIMEDOUT',
    match: all(statusIs(0), (fault) => fault.code !== '' && !certificateErrors.test(fault.code)),
    cause: (fault) => `The connection failed again and again: ${fault.message}`,
    who: runnerOwner,
    fix: (_, { loginEndpoint, resourceManager }) => [
      'On a self-hosted runner, allow these hosts, and set HTTPS_PROXY (and NO_PROXY) if there is a proxy:',
      loginEndpoint,
      resourceManager,
      'Check `environment` if the cloud is another than the public one.',
    ],
  },
];

const certificateErrors = /CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY)/;
