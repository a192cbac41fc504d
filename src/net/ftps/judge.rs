//! What a transfer's end means. Peers are careless with it: some never say goodbye in TLS, some answer late or not at all,
//! some answer "aborted" after the last byte, some "complete" after half of them. The bytes decide.

use super::error::{FtpsError, FtpsErrorKind};
use super::reply::Reply;

/// How the data connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a goodbye: nothing was cut.
    Clean,
    /// Without: TCP said that it was the end, and anybody could have.
    Unclean,
    /// It broke.
    Reset,
    /// It stayed open, but all bytes had come.
    Open,
}

/// How sure a finished transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The peer said that it was complete.
    Confirmed,
    /// All bytes came, but the peer said something else: this reply code.
    Contradicted(u16),
    /// The peer said nothing.
    Missing,
}

/// Judges an end. `total` counts the bytes up to the end of the transfer, those skipped at its start included; `size` is that
/// of the whole file, where known; `reply` is the answer after the transfer or the trouble with getting one.
pub(super) fn judge(
    size: Option<u64>,
    total: u64,
    end: End,
    reply: &Result<Reply, FtpsError>,
) -> Result<Confirmation, FtpsError> {
    let positive = matches!(reply, Ok(reply) if (200..300).contains(&reply.code));
    if let Ok(reply @ Reply { code: 425 | 522, .. }) = reply {
        // These say that there was no transfer at all, so an empty file was not fetched either.
        return Err(FtpsError::refusal("the data connection", reply));
    }
    match size {
        Some(size) if total == size => Ok(match reply {
            Ok(_) if positive => Confirmation::Confirmed,
            Ok(reply) => Confirmation::Contradicted(reply.code),
            Err(_) => Confirmation::Missing,
        }),
        Some(size) if positive => {
            let kind = FtpsErrorKind::Short { expected: size, received: total };
            Err(FtpsError::new(
                kind,
                format!("{total} of {size} bytes came, and the peer called that complete"),
            ))
        }
        Some(size) => Err(cut(reply, &format!("after {total} of {size} bytes"))),
        None if positive && end != End::Reset => Ok(Confirmation::Confirmed),
        None if reply.is_err() && end == End::Clean => Ok(Confirmation::Missing),
        None => Err(cut(reply, &format!("after {total} bytes"))),
    }
}

fn cut(reply: &Result<Reply, FtpsError>, place: &str) -> FtpsError {
    match reply {
        Ok(reply) if reply.code >= 400 => FtpsError::refusal(&format!("to go on {place}"), reply),
        // The peer was asked to stop.
        Err(error) if error.kind == FtpsErrorKind::Cancelled => error.clone(),
        _ => FtpsError::new(FtpsErrorKind::Interrupted, format!("the transfer was cut {place}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [End; 4] = [End::Clean, End::Unclean, End::Reset, End::Open];

    fn reply(code: u16) -> Result<Reply, FtpsError> {
        Ok(Reply { code, text: String::new() })
    }

    fn none() -> Result<Reply, FtpsError> {
        Err(FtpsError::new(FtpsErrorKind::Silent, "nothing"))
    }

    fn kind(result: Result<Confirmation, FtpsError>) -> FtpsErrorKind {
        result.unwrap_err().kind
    }

    #[test]
    fn all_bytes_are_all_bytes_whatever_is_said() {
        for end in ENDS {
            assert_eq!(judge(Some(7), 7, end, &reply(226)), Ok(Confirmation::Confirmed));
            assert_eq!(judge(Some(7), 7, end, &reply(250)), Ok(Confirmation::Confirmed));
            assert_eq!(judge(Some(7), 7, end, &reply(426)), Ok(Confirmation::Contradicted(426)));
            assert_eq!(judge(Some(7), 7, end, &none()), Ok(Confirmation::Missing));
        }
    }

    #[test]
    fn too_few_bytes_are_never_a_file() {
        let short = FtpsErrorKind::Short { expected: 7, received: 6 };
        for end in ENDS {
            assert_eq!(kind(judge(Some(7), 6, end, &reply(226))), short);
            assert_eq!(kind(judge(Some(7), 6, end, &reply(426))), FtpsErrorKind::Interrupted);
            assert_eq!(kind(judge(Some(7), 6, end, &reply(550))), FtpsErrorKind::NotFound);
            assert_eq!(kind(judge(Some(7), 6, end, &none())), FtpsErrorKind::Interrupted);
        }
    }

    #[test]
    fn no_transfer_is_no_empty_file() {
        assert_eq!(judge(Some(0), 0, End::Clean, &reply(226)), Ok(Confirmation::Confirmed));
        assert_eq!(kind(judge(Some(0), 0, End::Clean, &reply(522))), FtpsErrorKind::ReuseRequired);
        assert_eq!(kind(judge(Some(0), 0, End::Unclean, &reply(425))), FtpsErrorKind::NoDataConnection);
    }

    #[test]
    fn without_a_size_the_reply_or_a_goodbye_counts() {
        assert_eq!(judge(None, 7, End::Clean, &reply(226)), Ok(Confirmation::Confirmed));
        assert_eq!(judge(None, 7, End::Unclean, &reply(226)), Ok(Confirmation::Confirmed));
        assert_eq!(kind(judge(None, 7, End::Reset, &reply(226))), FtpsErrorKind::Interrupted);
        assert_eq!(judge(None, 7, End::Clean, &none()), Ok(Confirmation::Missing));
        assert_eq!(kind(judge(None, 7, End::Unclean, &none())), FtpsErrorKind::Interrupted);
        assert_eq!(kind(judge(None, 7, End::Clean, &reply(426))), FtpsErrorKind::Interrupted);
    }

    #[test]
    fn cancelling_stays_visible() {
        let cancelled = Err(FtpsError::cancelled());
        assert_eq!(kind(judge(Some(7), 6, End::Reset, &cancelled)), FtpsErrorKind::Cancelled);
    }
}
