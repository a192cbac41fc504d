// Codes of the appliance to words for people. A code without words here is shown by the server's own message.
export const EVENTS = ['printer_added', 'printer_updated', 'printer_removed', 'printer_connection_progress',
  'printer_connected', 'printer_disconnected', 'printer_monitoring_started', 'printer_monitoring_stopped',
  'printer_status_update', 'plate_cleared', 'printer_status', 'job_created', 'job_started', 'job_status_changed',
  'job_progress_updated', 'job_update', 'job_completed', 'job_updated', 'job_deleted', 'files_discovered',
  'new_files_found', 'file_sync_complete', 'file_deleted', 'file_download_started', 'file_download_progress',
  'file_preview_ready', 'file_needs_thumbnail_processing', 'file_download_complete', 'file_verification_failed',
  'file_download_failed', 'file_thumbnails_processed', 'thumbnail_processing_failed', 'file_metadata_extracted',
  'metadata_extraction_failed', 'auto_download_triggered', 'auto_download_failed', 'material_created',
  'material_updated', 'material_deleted', 'material_low_stock', 'library_file_added', 'library_file_deleted',
  'print_paused', 'print_resumed', 'print_stopped', 'printer_control_failed', 'service_started', 'service_stopping',
  'storage_low', 'settings_changed'];

// Of each state: words, icon, colour, band, pattern of the bar.
export const STATES = {
  connecting: ['Connecting', 'connecting', '', 'dashed', ''],
  idle: ['Ready', 'idle', '', 'plain', ''],
  preparing: ['Preparing', 'preparing', 'run', 'tint', 'wait'],
  printing: ['Printing', 'printing', 'run', 'tint', 'solid'],
  paused: ['Paused', 'paused', 'hold', 'tint', 'seg'],
  attention: ['Needs you', 'attention', 'bad', 'solid', 'seg'],
  finished: ['Finished, take it off', 'finished', 'good', 'plain', ''],
  done: ['Finished', 'finished', 'good', 'plain', ''],
  failed: ['Failed', 'failed', 'bad', 'solid', 'grey'],
  cancelled: ['Stopped', 'cancelled', '', 'plain', 'grey'],
  offline: ['No answer', 'offline', '', 'dashed', 'grey'],
  unknown: ['Unknown', 'unknown', '', 'dashed', 'grey'],
  fix: ['Needs you', 'key', 'bad', 'solid', 'grey'],
};

// What is wrong with the way to a printer: short words, and what to do.
export const TROUBLE = {
  unreachable: ['No answer', 'Nothing answers at its address. Is it switched on? Trying again by itself.'],
  refused: ['No answer', 'The address answers, but not as a printer. Check LAN mode and the address on its screen. Trying again by itself.'],
  tls: ['No answer', 'No secure connection could be made. Trying again by itself.'],
  certificate_changed: ['Identity changed', 'This printer identifies itself differently than before. After a reset or repair that is normal: compare the serial, then trust it. If not, check who is at this address.'],
  wrong_code: ['Wrong access code', 'The printer does not accept the access code. Read it again on its screen; it changes when LAN mode is switched.'],
  wrong_serial: ['Wrong serial', 'This address belongs to another printer. Use its serial or correct the address.'],
  silent: ['No answer', 'It is connected but says nothing. Is it switched on? Trying again by itself.'],
  auth: ['Not accepted', 'User name or password not accepted. Read them again on the printer.'],
  protocol: ['No answer', 'The printer answers in a way that is not understood. Trying again by itself.'],
  busy: ['Busy', 'The printer has no room for one more connection. Close another app; trying again by itself.'],
};

// Why a file could not be fetched: short words, and what to do.
export const FETCH = {
  not_found: ['The printed file was not found on the printer', null],
  auth: ['The printer refuses access to its files', 'Read the access code on its screen again; it changes when LAN mode is switched.'],
  refused: ['The printer does not hand out files right now', null],
  interrupted: ['The transfer broke off', null],
  stalled: ['The printer stopped sending', null],
  size_mismatch: ['The file changed while it was fetched', null],
  corrupt: ['The file came damaged', null],
  too_large: ['The file is larger than this appliance takes', null],
  no_space: ['No room left on this appliance', 'Delete files that are not needed, or use a larger card.'],
  bad_name: ['The name of the file cannot be used', null],
  printer_offline: ['The printer cannot be reached', null],
  not_on_storage: ['This printer keeps the file where it cannot be read', 'On the printer: turn on "Store sent files on external storage" (Settings, Print options), with a card or stick in it.'],
};

export const JOB_STATES = {
  pending: 'Planned', preparing: 'Preparing', running: 'Printing', paused: 'Paused', completed: 'Finished',
  failed: 'Failed', cancelled: 'Stopped', unknown: 'Ended unseen',
};
