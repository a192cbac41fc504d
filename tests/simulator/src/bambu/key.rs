//! RSA keys, made from a seed: the same seed gives the same key in every process and on every machine, so that
//! a restarted simulator is recognised by whoever pinned its key.
//!
//! Such keys protect nothing. They exist because printers present RSA leaves and ring cannot make RSA keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use num_bigint::BigUint;
use ring::digest::{SHA256, digest};

use super::der;
use crate::wait::lock;

/// The public exponent; a prime, which the search for p and q relies on.
const EXPONENT: u32 = 65_537;
/// Candidates tried from one random starting point before a new one is drawn. About one odd number in 355 of
/// this size is prime, so nearly every start is enough.
const SEARCH_WINDOW: usize = 4_096;
/// Small primes up to this bound weed out some 90 % of the candidates before the costly test.
const SIEVE_BOUND: u32 = 4_000;
/// Rounds of the Miller-Rabin test. For random 1024-bit candidates four leave less than 2^-100.
const ROUNDS: usize = 4;
/// Keys kept per process. Tests use a handful of serial numbers; past the bound a key is simply made again.
const CACHE_MAX: usize = 64;

/// An RSA key pair.
#[derive(Debug)]
pub struct RsaKey {
    /// The modulus, as an unsigned big-endian number without leading zeros.
    pub modulus: Vec<u8>,
    /// The private key as PKCS #1 DER.
    pub pkcs1: Vec<u8>,
}

impl RsaKey {
    /// The key for `seed`, from the process-wide cache if it was made before.
    #[must_use]
    pub fn from_seed(seed: &str, bits: u64) -> Arc<Self> {
        type Place = Arc<OnceLock<Arc<RsaKey>>>;
        static CACHE: Mutex<BTreeMap<(String, u64), Place>> = Mutex::new(BTreeMap::new());
        let place = {
            let mut cache = lock(&CACHE);
            if cache.len() >= CACHE_MAX {
                cache.clear();
            }
            Arc::clone(cache.entry((seed.to_owned(), bits)).or_default())
        };
        // Made outside the cache's lock: different keys are made side by side, and the same one only once.
        Arc::clone(place.get_or_init(|| Arc::new(Self::generate(seed, bits))))
    }

    fn generate(seed: &str, bits: u64) -> Self {
        let mut random = Random::new(seed);
        let one = BigUint::from(1_u32);
        let exponent = BigUint::from(EXPONENT);
        loop {
            let (first, second) = (prime(&mut random, bits / 2), prime(&mut random, bits / 2));
            if first == second {
                continue;
            }
            let (p, q) = if first > second { (first, second) } else { (second, first) };
            let (p_less, q_less) = (&p - &one, &q - &one);
            let totient = &p_less * &q_less;
            let (Some(d), Some(inverse)) = (exponent.modinv(&totient), q.modinv(&p)) else { continue };
            let modulus = (&p * &q).to_bytes_be();
            let numbers = [
                vec![0],
                modulus.clone(),
                exponent.to_bytes_be(),
                d.to_bytes_be(),
                p.to_bytes_be(),
                q.to_bytes_be(),
                (&d % &p_less).to_bytes_be(),
                (&d % &q_less).to_bytes_be(),
                inverse.to_bytes_be(),
            ];
            let pkcs1 = der::sequence(&numbers.map(|number| der::unsigned(&number)));
            return Self { modulus, pkcs1 };
        }
    }

    /// The public key as PKCS #1 DER.
    #[must_use]
    pub fn public_pkcs1(&self) -> Vec<u8> {
        der::sequence(&[der::unsigned(&self.modulus), der::unsigned(&EXPONENT.to_be_bytes())])
    }
}

/// Bytes from a seed: SHA-256 over the seed and a counter.
struct Random {
    seed: Vec<u8>,
    counter: u64,
}

impl Random {
    fn new(seed: &str) -> Self {
        Self { seed: seed.as_bytes().to_vec(), counter: 0 }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 32);
        while bytes.len() < count {
            let mut input = self.seed.clone();
            input.extend_from_slice(&self.counter.to_be_bytes());
            self.counter += 1;
            bytes.extend_from_slice(digest(&SHA256, &input).as_ref());
        }
        bytes.truncate(count);
        bytes
    }
}

/// A random prime of exactly `bits` bits with its two highest bits set, so that a product has twice as many.
fn prime(random: &mut Random, bits: u64) -> BigUint {
    let small = small_primes();
    let length = usize::try_from(bits / 8).unwrap_or(128);
    loop {
        let mut start = BigUint::from_bytes_be(&random.bytes(length));
        start.set_bit(bits - 1, true);
        start.set_bit(bits - 2, true);
        start.set_bit(0, true);
        // Mark the offsets (of start + 2 * offset) that a small prime divides.
        let mut composite = vec![false; SEARCH_WINDOW];
        for &divisor in &small {
            let rest = u32::try_from(&start % divisor).unwrap_or(0);
            // The smallest offset with rest + 2 * offset divisible; the divisor is odd, so there is one.
            let gap = if rest == 0 { 0 } else { divisor - rest };
            let first = if gap % 2 == 0 { gap / 2 } else { u32::midpoint(gap, divisor) };
            let step = usize::try_from(divisor).unwrap_or(usize::MAX);
            for mark in composite.iter_mut().skip(usize::try_from(first).unwrap_or(0)).step_by(step) {
                *mark = true;
            }
        }
        for offset in composite.iter().enumerate().filter(|(_, mark)| !**mark).map(|(offset, _)| offset) {
            let candidate = &start + BigUint::from(2 * offset);
            if candidate.bits() == bits
                && &candidate % EXPONENT != BigUint::from(1_u32)
                && is_probably_prime(&candidate, random)
            {
                return candidate;
            }
        }
    }
}

fn small_primes() -> Vec<u32> {
    (3..SIEVE_BOUND)
        .step_by(2)
        .filter(|&number| {
            (3_u32..).step_by(2).take_while(|d| d * d <= number).all(|divisor| number % divisor != 0)
        })
        .collect()
}

fn is_probably_prime(candidate: &BigUint, random: &mut Random) -> bool {
    let one = BigUint::from(1_u32);
    let less = candidate - &one;
    let twos = less.trailing_zeros().unwrap_or(0);
    let odd = &less >> twos;
    // Base 2 first: it unmasks nearly every composite with one exponentiation.
    let bases = (0..ROUNDS).map(|round| match round {
        0 => BigUint::from(2_u32),
        _ => BigUint::from_bytes_be(&random.bytes(64)) + 3_u32,
    });
    bases.into_iter().all(|base| {
        let mut power = base.modpow(&odd, candidate);
        if power == one || power == less {
            return true;
        }
        for _ in 1..twos {
            power = &power * &power % candidate;
            if power == less {
                return true;
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use ring::rsa::KeyPair;

    use super::*;

    #[test]
    fn ring_accepts_the_key_and_the_seed_decides_it() {
        let key = RsaKey::from_seed("key test", 2048);
        let pair = KeyPair::from_der(&key.pkcs1).expect("ring checks the numbers against each other");
        assert_eq!(pair.public().modulus_len(), 256);
        assert_eq!(RsaKey::generate("key test", 2048).pkcs1, key.pkcs1);
        assert_ne!(RsaKey::from_seed("another", 2048).modulus, key.modulus);
    }

    #[test]
    fn known_composites_and_primes_are_told_apart() {
        let mut random = Random::new("test");
        for prime in [65_537_u32, 7_919, 2_147_483_647] {
            assert!(is_probably_prime(&BigUint::from(prime), &mut random));
        }
        // 3215031751 is a strong pseudoprime to the bases 2, 3, 5 and 7.
        for composite in [65_537_u64 * 3, 3_215_031_751, 561] {
            assert!(!is_probably_prime(&BigUint::from(composite), &mut random));
        }
    }
}
