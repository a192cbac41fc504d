//! Every limit of the readers, in one place, with the reason for its number.
//!
//! A print file comes from a stranger's model site, through a slicer, over a network. Nothing in it may decide how much
//! memory or time we spend. The sum of what one inspection can hold at once stays below 8 MB above idle.

/// Longest prefix of a text G-code file that is searched for thumbnails and header lines. The last picture of real
/// files ends between 6 KB and 480 KB; twice that leaves room for larger profiles.
pub const GCODE_HEAD_MAX: u64 = 1024 * 1024;
/// When a thumbnail block is still open at the end of the head, reading goes on this far for its end.
pub const GCODE_HEAD_OPEN_MAX: u64 = 4 * 1024 * 1024;
/// First look at the end of a text G-code file: configuration blocks of real files begin 11 to 60 KB before the end.
pub const GCODE_TAIL: u64 = 128 * 1024;
/// Second look, taken when the first one begins inside a configuration block.
pub const GCODE_TAIL_MAX: u64 = 1024 * 1024;
/// How much of a G-code part inside an archive is inflated: the header block and the configuration that follows it
/// (40 to 70 KB in real files) lie in front of the moves.
pub const GCODE_PREFIX_MAX: u64 = 128 * 1024;
/// Longest line that is looked at as a whole; what is beyond is dropped. Tool change scripts of eight-tool printers
/// exceed 16 KB, lists of object outlines are longer, and one slicer writes its whole picture (100 KB and more) as one.
pub const LINE_MAX: usize = 512 * 1024;
/// Longest value of one setting that is kept. The whitelisted settings are short; only object lists are long, and they
/// are digested at once.
pub const VALUE_MAX: usize = 4 * 1024;

/// Most bytes of one embedded picture as stored. The largest seen is 100 KB (640x480 PNG).
pub const PICTURE_STORED_MAX: u64 = 4 * 1024 * 1024;
/// Most pictures that are listed for one file: a multi-plate project has four per plate.
pub const PICTURES_MAX: usize = 64;
/// Most bytes of pictures that are unpacked, summed or hashed for one file: a project of 16 plates with four pictures of
/// 500 KB each. Pictures of zeros pack a thousandfold, so their number alone is no bound.
pub const PICTURES_TOTAL_MAX: u64 = 32 * 1024 * 1024;
/// Most pictures that are decoded in the search for one that is whole and not blank: four views of a plate, and as many
/// of its neighbour.
pub const RENDITION_TRIES_MAX: usize = 8;
/// Most pixels that are decoded in that search, the first try apart: as many as one picture may have.
pub const RENDITION_PIXELS_MAX: u64 = PICTURE_PIXELS_MAX;
/// Longest side of a picture that is decoded.
pub const PICTURE_SIDE_MAX: u32 = 4096;
/// Most pixels that are decoded: a 4K rendering. Decoding is by rows, so this bounds time, not memory.
pub const PICTURE_PIXELS_MAX: u64 = 4096 * 2160;
/// Most pixels of a picture that cannot be decoded by rows (interlaced PNG): 2 MiB of RGBA.
pub const PICTURE_WHOLE_PIXELS_MAX: u64 = 512 * 1024;
/// Most bytes of a PNG that is served as it is; the largest size without any compression. One that takes more is written
/// anew, so that no picture is in memory twice as a stranger packed it.
pub const PNG_COPY_MAX: usize = 512 * 512 * 4 + 64 * 1024;
/// Most bytes of a JPEG that is decoded: a byte a pixel is the most that a camera writes.
pub const JPEG_STORED_MAX: usize = 1024 * 1024;
/// Most pixels of a JPEG, which its decoder holds whole as three bytes each.
pub const JPEG_PIXELS_MAX: u64 = 1024 * 1024;
/// Most pixels of a progressive JPEG, whose decoder also holds two bytes per coefficient.
pub const JPEG_PROGRESSIVE_PIXELS_MAX: u64 = 512 * 1024;
/// Memory that the PNG decoder may take for itself (rows and chunk buffers; the image is not held).
pub const PNG_DECODER_MEMORY_MAX: usize = 512 * 1024;

/// Most blocks of a binary G-code file before its first G-code block; real files have six to ten.
pub const BGCODE_BLOCKS_MAX: u32 = 64;
/// Most G-code blocks that a verification walks: 64 KiB of text each, so 8 GiB.
pub const BGCODE_VERIFY_BLOCKS_MAX: u32 = 128 * 1024;
/// Most stored bytes of one metadata block.
pub const BGCODE_METADATA_STORED_MAX: u64 = 1024 * 1024;
/// Most bytes of one metadata block after decompression.
pub const BGCODE_METADATA_PLAIN_MAX: u64 = 4 * 1024 * 1024;
/// Most bytes of all metadata blocks of a file after decompression; real ones have 30 to 100 KB.
pub const BGCODE_METADATA_TOTAL_MAX: u64 = 8 * 1024 * 1024;

/// Most entries of an archive: a large project has some hundreds.
pub const ZIP_ENTRIES_MAX: u64 = 4096;
/// Most bytes of a central directory.
pub const ZIP_DIRECTORY_MAX: u64 = 4 * 1024 * 1024;
/// Longest name of an archive entry that is of interest.
pub const ZIP_NAME_MAX: usize = 512;
/// Furthest from the end that the end record can begin: its 22 bytes and the longest comment, plus the zip64 locator.
pub const ZIP_END_SEARCH: u64 = 22 + 65_535 + 20;
/// Largest ratio that deflate can reach; more is a lie about sizes.
pub const DEFLATE_RATIO_MAX: u64 = 1032;
/// A verification gives up on an entry, and on a file, above `VERIFY_RATIO_FREE` bytes that expands more than this:
/// G-code expands 4 to 14 times, models up to 30 times.
pub const VERIFY_RATIO_MAX: u64 = 100;
/// Up to this uncompressed size, of an entry or of all, a verification does not ask for the ratio.
pub const VERIFY_RATIO_FREE: u64 = 16 * 1024 * 1024;
/// Most bytes that one verification inflates over all entries.
pub const VERIFY_PLAIN_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Most bytes of `slice_info.config`; about 1 KB per plate is usual.
pub const SLICE_INFO_MAX: u64 = 1024 * 1024;
/// Most bytes of `model_settings.config`, which lists every object.
pub const MODEL_SETTINGS_MAX: u64 = 4 * 1024 * 1024;
/// Most bytes of `project_settings.config` (45 to 90 KB) and of `Slic3r_PE.config`.
pub const PROJECT_SETTINGS_MAX: u64 = 2 * 1024 * 1024;
/// Most bytes of one plate's JSON description.
pub const PLATE_JSON_MAX: u64 = 1024 * 1024;
/// Most bytes of a relationships part.
pub const RELATIONSHIPS_MAX: u64 = 256 * 1024;
/// How much of the 3D model part is read for its metadata elements, which come first. The rest (18 MB seen) never is.
pub const MODEL_PREFIX_MAX: u64 = 16 * 1024;
/// Most plates of an archive: slicers stop at 36.
pub const PLATES_MAX: usize = 64;
/// Most objects whose names are kept.
pub const OBJECTS_MAX: usize = 256;
/// Most tools (filament slots) of a print: 16 is the most that a printer takes, projects list a few more.
pub const TOOLS_MAX: usize = 64;
/// Longest name (of an object, a filament, a printer) that is kept, in bytes.
pub const NAME_MAX: usize = 256;
/// Most warnings kept for one file.
pub const WARNINGS_MAX: usize = 32;

/// Deepest nesting of XML elements.
pub const XML_DEPTH_MAX: usize = 32;
/// Most attributes of one XML element.
pub const XML_ATTRIBUTES_MAX: usize = 64;
/// Longest XML name, attribute value or text run that is kept.
pub const XML_TEXT_MAX: usize = 64 * 1024;
/// Deepest nesting of JSON values that is looked into; what is deeper is skipped.
pub const JSON_DEPTH_MAX: usize = 16;

/// How much of a running transfer the forward reader looks at: covers and header lie in the first 20 to 100 KB, text
/// G-code with five pictures reaches 480 KB.
pub const FORWARD_MAX: u64 = 1024 * 1024;
/// Most picture bytes that the forward reader keeps at once.
pub const FORWARD_PICTURES_MAX: usize = 1024 * 1024;
/// Most bytes of one metadata block or part that the forward reader keeps.
pub const FORWARD_PART_MAX: usize = 256 * 1024;

/// Most bytes that the forward reader inflates in all: sixteen times its input, more than G-code ever expands.
pub const FORWARD_PLAIN_MAX: u64 = 16 * 1024 * 1024;
/// After this many moves a text G-code file has no header any more.
pub const FORWARD_MOVES: u64 = 2_000;

/// Bytes read from a file at once: four pages, so that a card is asked seldom and little is read in vain.
pub const READ_CHUNK: usize = 16 * 1024;
