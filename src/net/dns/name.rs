//! Names: labels of bytes, compared without regard to case.

use std::fmt;

/// Bytes of a name as it travels, its end included (RFC 1035).
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of a label.
const LABEL_BYTES_MAX: usize = 63;

/// A name as it travels: each label behind its length, and a zero.
#[derive(Clone)]
pub struct Name(Vec<u8>);

impl Name {
    /// The root, which has no labels.
    #[must_use]
    pub fn root() -> Name {
        Name(vec![0])
    }

    /// A name of `labels`; `None` when one is empty or too long, or all together are.
    #[must_use]
    pub fn new<L: AsRef<[u8]>>(labels: impl IntoIterator<Item = L>) -> Option<Name> {
        let mut name = Name::root();
        for label in labels {
            name.push(label.as_ref())?;
        }
        Some(name)
    }

    /// Adds a label at the end.
    pub(super) fn push(&mut self, label: &[u8]) -> Option<()> {
        let length = u8::try_from(label.len()).ok()?;
        let fits =
            (1..=LABEL_BYTES_MAX).contains(&label.len()) && self.0.len() + 1 + label.len() <= NAME_BYTES_MAX;
        if !fits {
            return None;
        }
        self.0.pop();
        self.0.push(length);
        self.0.extend(label);
        self.0.push(0);
        Some(())
    }

    /// The labels, the first of all first.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let length = usize::from(*length);
            let label = after.get(..length).filter(|_| length > 0)?;
            rest = after.get(length..)?;
            Some(label)
        })
    }

    /// The name without its first label.
    #[must_use]
    pub fn parent(&self) -> Option<Name> {
        self.labels().next()?;
        Name::new(self.labels().skip(1))
    }

    /// The bytes as they travel.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The name of a host with dots between its labels, in small letters; `None` where it holds what no host's name does.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let plain = |label: &[u8]| {
            label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let mut host = String::new();
        for label in self.labels() {
            if !plain(label) {
                return None;
            }
            if !host.is_empty() {
                host.push('.');
            }
            host.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        }
        Some(host).filter(|host| !host.is_empty())
    }
}

/// Lengths are below the letters, so the bytes as a whole can be compared.
impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> = self.labels().map(|label| label.escape_ascii().to_string()).collect();
        f.write_str(&labels.join("."))
    }
}
