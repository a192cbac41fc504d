// English: how a printer is added.
export default {
  'step.address': 'Find the address', 'step.port': 'Reach the printer', 'step.tls': 'Secure connection', 'step.serial': 'Serial number', 'step.login': 'Log in', 'step.first_report': 'First report',
  'step.files': 'Its files', 'first.words': 'From then on every print is recorded, its file kept and its filament counted. Nothing leaves your network.',
  'discovery.switched_off': 'Looking for printers is switched off in the configuration. Enter the data by hand.', 'discovery.no_network': 'The appliance is in no network yet.',
  'discovery.no_multicast': 'This network lets no calls of printers through. Enter the data by hand.',
  'where.ip_address': 'On the printer: Settings, network page, for example 192.168.1.40. A name works too.', 'where.username': 'Usually "maker".', 'guide.x1.name': 'Bambu Lab X1, P1, P2, H2',
  'guide.x1': 'Touch the gear, then Network (X1, P2, H2) or WLAN (P1). / The IP address and the Access Code (8 characters) stand there. / The serial number stands under Device or General, and on the sticker at the back. / To pause or stop prints from here, switch on LAN only and Developer Mode on the same page.',
  'guide.a1.name': 'Bambu Lab A1, A1 mini',
  'guide.a1': 'Touch Settings, then WLAN or LAN Only. / The IP address and the Access Code stand there. / The serial number stands under Device, and on the sticker below the plate. / To pause or stop prints from here, switch on LAN only and Developer Mode.',
  'guide.buddy.name': 'Prusa MK4, MK3.9, MINI, XL, CORE One',
  'guide.buddy': 'Open Settings, Network, PrusaLink. / User (usually "maker") and Password stand there; generate one if it is empty. / The IP address stands under Settings, Network, Wi-Fi or Ethernet.',
  'guide.pi.name': 'PrusaLink on a Raspberry Pi (MK3)',
  'guide.pi': 'Open the page of PrusaLink in a browser. / User and password are those that were chosen there; or take the API key under Settings. / The address is the one in the address bar.',
};
