//! Named bearer tokens for scripts: each can be taken back alone, and none opens what needs the password. **Pure**.

use serde::{Deserialize, Serialize};

use super::password::{Digest, digest, hex, unhex};
use crate::base::clock::Timestamp;

/// Tokens at most: they fit one setting of the store.
pub const TOKENS_MAX: usize = 12;
/// Bytes of a token's name.
pub const NAME_BYTES_MAX: usize = 40;
/// Every token begins with this, so that one is recognised where it should not be.
pub const PREFIX: &str = "pzt_";

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// What it is for.
    pub name: String,
    /// When it was made; nothing where the device did not know the time.
    pub created_at: Option<Timestamp>,
    secret: Digest,
}

/// The tokens.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    id: u32,
    name: String,
    at: Option<i64>,
    secret: String,
}

/// Why there is no new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are [`TOKENS_MAX`].
    Full,
    /// The name is no name.
    BadName,
    /// Another one has it.
    NameTaken,
}

impl Tokens {
    /// Adds a token whose secret is `secret`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn add(&mut self, name: &str, secret: &str, now: Option<Timestamp>) -> Result<Token, Refused> {
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(Refused::BadName);
        }
        if self.0.iter().any(|token| token.name == name) {
            return Err(Refused::NameTaken);
        }
        if self.0.len() >= TOKENS_MAX {
            return Err(Refused::Full);
        }
        let id = self.0.iter().map(|token| token.id).max().unwrap_or(0).saturating_add(1);
        let token = Token { id, name: name.to_owned(), created_at: now, secret: digest(secret) };
        self.0.push(token.clone());
        Ok(token)
    }

    /// Takes one back; answers whether it was there.
    pub fn remove(&mut self, id: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|token| token.id != id);
        self.0.len() != before
    }

    /// Takes all back.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The hash of `secret`, if it is that of a token.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<Digest> {
        let found = Some(secret).filter(|secret| secret.starts_with(PREFIX)).map(digest)?;
        self.has(&found).then_some(found)
    }

    /// Whether there is one whose secret has this hash.
    #[must_use]
    pub fn has(&self, secret: &Digest) -> bool {
        self.0.iter().any(|token| token.secret == *secret)
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list(&self) -> &[Token] {
        &self.0
    }

    /// As they are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let kept = |token: &Token| Kept {
            id: token.id,
            name: token.name.clone(),
            at: token.created_at.map(|at| at.0),
            secret: hex(&token.secret),
        };
        serde_json::to_vec(&self.0.iter().map(kept).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Reads them back; what cannot be read opens nothing.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Tokens {
        let kept: Vec<Kept> = serde_json::from_slice(bytes).unwrap_or_default();
        let token = |kept: Kept| {
            let secret = unhex(&kept.secret)?;
            Some(Token { id: kept.id, name: kept.name, created_at: kept.at.map(Timestamp), secret })
        };
        Tokens(kept.into_iter().take(TOKENS_MAX).filter_map(token).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_by_their_secret_and_taken_back_alone() {
        let mut tokens = Tokens::default();
        let one = tokens.add(" backup ", "pzt_one", Some(Timestamp(5))).unwrap();
        let two = tokens.add("home assistant", "pzt_two", None).unwrap();
        assert_eq!((one.id, one.name.as_str(), two.id), (1, "backup", 2));
        assert_eq!(tokens.find("pzt_one"), Some(digest("pzt_one")));
        assert_eq!((tokens.find("pzt_"), tokens.find("one"), tokens.find("")), (None, None, None));
        let back = Tokens::from_bytes(&tokens.to_bytes());
        assert_eq!(back.list(), tokens.list());
        assert!(tokens.remove(1) && !tokens.remove(1) && !tokens.has(&digest("pzt_one")));
        assert!(tokens.find("pzt_one").is_none() && tokens.find("pzt_two").is_some());
        assert!(!String::from_utf8(back.to_bytes()).unwrap().contains("pzt_one"));
        tokens.clear();
        assert!(tokens.list().is_empty());
        assert!(Tokens::from_bytes(b"[{\"id\":1}]").list().is_empty());
    }

    #[test]
    fn names_are_names_and_the_table_fits_a_setting() {
        let mut tokens = Tokens::default();
        for bad in ["", "  ", "a\nb", &"x".repeat(41)] {
            assert_eq!(tokens.add(bad, "pzt_x", None), Err(Refused::BadName), "{bad:?}");
        }
        for n in 0..TOKENS_MAX {
            tokens
                .add(&format!("{}{n:02}", "\"".repeat(38)), &format!("pzt_{n}"), Some(Timestamp(i64::MIN)))
                .unwrap();
        }
        assert_eq!(tokens.add("one more", "pzt_x", None), Err(Refused::Full));
        assert!(tokens.to_bytes().len() <= crate::store::SETTING_BYTES_MAX, "{}", tokens.to_bytes().len());
        let mut tokens = Tokens::default();
        tokens.add("a", "pzt_1", None).unwrap();
        assert_eq!(tokens.add("a", "pzt_2", None), Err(Refused::NameTaken));
    }
}
