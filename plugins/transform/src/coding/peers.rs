//! Bodies that other people's encoders made: Python's `brotli` 1.2.0 and `zstandard` 0.25.0.

use super::*;

/// What all of them hold.
fn text() -> Vec<u8> {
    let item = |n: usize| format!(r#"{{"id": {n}, "name": "item number {n}", "internal": true}}"#);
    let items: Vec<_> = (0..40).map(item).collect();
    format!(r#"{{"items": [{}]}}"#, items.join(", ")).into_bytes()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// At quality 11.
const BROTLI: &str = "\
    1bb608e0ac0a78d3bc400e7c4c4d150d0dc6b5ecdb2333e994fcb9905b19c42d96aed0099100a14076d3b3fb \
    464c8444b30942b12e8b780e73783e21b56bfb4dd78f47f5bdc06111d677c15dcf9b7a549c58040ea153e412 \
    bb251e696f191f595f39bf4fb88c3fe03bfe808918480a22075342a843d384a10d4be7378535834508200692 \
    82c8c19410ead0346168c3d2f94d51cd5011028881a420723025843a344d18dab074a3b705";

/// At quality 4, flushed after 500 bytes.
const BROTLI_FLUSHED: &str = "\
    8bf90000c49a53658fd32f3216af6c54201181214aab4291090720530e34b200ec40878db1b3c431a57a7961 \
    f44945bd9c9d0a23e0697b50c113a30c0c059c203bdba2e27dbef10b4cb16ec5b913ef5e8207891e257992ec \
    598a1503216c0040600a875cd10c4e7830f44ae6bad665c8ffd6abc23b647c89200bbef9216140c280840109 \
    031206240c481890300029440a9142a41029440a9142a41029440a51229408254289502294082542895022d4 \
    bd770f";

/// At quality 5, with a window of 64 KiB.
const BROTLI_SMALL_WINDOW: &str = "\
    c216018040df7ea6b2cbea2ff266722b5b2a02ad3b8429e19fe44400e8fb4a4d1aaf8c0a1319d066770a4338 \
    19e1219aa61aaf7fbf30faeeb31ef9f7d5674da3fa777ddf71d6af65948f9a7a549f207bae4fdfbc78ee519d \
    128fe088aecc3ecbe28bacbecae69becbecbe1c72803b289effc60148b18c52246b188512c62148b18c52246 \
    b188512c8208100122400488001120024480081001324806c92019248364900c924132481e7b3f6f";

/// At level 3, in one piece with its size.
const ZSTD: &str = "\
    28b52ffd60b707cd0500a288181980c7394e9f8eefe900148549a620d6beeda7bc0b489b9002014de0ffffff \
    ffffffff6ddbb66ddbb66dbb6ddbb66ddbb64d1204390ec3280a82f8edf64e930b6b8790a02c966d25bc83c3 \
    b114a865dd214ca52cbc331cc241420670080b2a5b422650a831f4fd3f0370a3141f11240408c13f42008289 \
    20f203acaa4a5555a9aa2a55556b4664648cc0c81771912dc2225744454a1114792226b24448241f110544b4 \
    84288842ebf57a7abd5eaf6fe8e7b8aa1ed06a";

/// At level 3, flushed after 500 bytes, with a checksum and without a size.
const ZSTD_FLUSHED: &str = "\
    28b52ffd04586c0300c2c4101690a53aa39ba1241a0e4a60333bc9344d33e774fd39076b29951242e718530a \
    2116058d0f3a3f60fb146ebbc5879f065c5c3baf8eed2d86f382f601e03cc1296c1f0212006011501fb819a8 \
    05dc076a066e01f5819b815ac07da066e016501fb819a8e2ac9ceb85e904c504002244080ce0690cb03ab8b1 \
    9bc4d9c38165fcffffffffabaaaaaaaa56555555d50c1081043e2070f33d9f004f6441112fc844099ec88222 \
    5e9089123c910545bc20132578220b8a7841264af0441614f1824c94e0892c28e2059928c113d9a0cc403c19 \
    401663516004de8b44e602282d168f45205b91282a80976291a1089413896702c84a2c0a89c01b9118222c10 \
    e2e64004d92d6aa8055b563a54";

/// At level 19, with a window of 32 MiB.
const ZSTD_LARGE_WINDOW: &str = "\
    28b52ffd00787d0500e2481a11907d1231708a049969a01b21594add053dbb29951242e718530a21ffee830c \
    a2544a089d634c2984fcbb8f1faf544a089d634c2984fcbbbbbb522921748e31a510f2ef0ec48ed962b0c274 \
    d5465c6500220c60e3a3b902b042a4ae062006944133b0c2a511cba00351a811a0b7cfb41bc0553207210408 \
    0142f02b84122c4cfa37e4fffe65d9effdfffbe3a8affbff77dbde23e422640819c474dc1c97c3e5b83406e2 \
    bcadeac9fa079a1a";

fn all() -> [(Coding, &'static str); 5] {
    [
        (Coding::Brotli, BROTLI),
        (Coding::Brotli, BROTLI_FLUSHED),
        (Coding::Brotli, BROTLI_SMALL_WINDOW),
        (Coding::Zstd, ZSTD),
        (Coding::Zstd, ZSTD_FLUSHED),
    ]
}

#[test]
fn what_others_encoded_is_decoded_within_exactly_its_size() {
    let text = text();
    for (coding, hex) in all() {
        let coded = bytes(hex);
        let (codings, limit) = ([coding], text.len() as u64);
        assert_eq!(decode(&codings, &coded, limit), Ok(text.clone()), "{coding:?}");
        assert_eq!(decode(&codings, &coded, limit - 1), Err(DecodeError::TooLarge(limit - 1)));
        for cut in 0..coded.len() {
            let decoded = decode(&codings, &coded[..cut], 1 << 20);
            assert!(
                matches!(decoded, Err(DecodeError::Broken(_))),
                "{coding:?} {cut}: {decoded:?}"
            );
        }
        let longer = [&coded[..], b"x"].concat();
        assert!(matches!(decode(&codings, &longer, 1 << 20), Err(DecodeError::Broken(_))));
        let stacked = encode(&[Coding::Gzip], coded);
        assert_eq!(decode(&[coding, Coding::Gzip], &stacked, limit), Ok(text.clone()));
    }
}

#[test]
fn zstd_bodies_may_have_several_frames_and_some_to_skip_and_checksums_hold() {
    let (frame, skipped) = (bytes(ZSTD), bytes("502a4d18 03000000 616263"));
    let body = [&skipped[..], &frame, &skipped, &frame].concat();
    assert_eq!(decode(&[Coding::Zstd], &body, 1 << 20), Ok([text(), text()].concat()));
    let mut wrong = bytes(ZSTD_FLUSHED);
    *wrong.last_mut().unwrap() ^= 1;
    let decoded = decode(&[Coding::Zstd], &wrong, 1 << 20);
    assert_eq!(decoded, Err(DecodeError::broken("its checksum is another")));
}

#[test]
fn a_window_that_http_does_not_allow_is_refused() {
    let decoded = decode(&[Coding::Zstd], &bytes(ZSTD_LARGE_WINDOW), 1 << 20);
    let Err(DecodeError::Broken(reason)) = decoded else { panic!("{decoded:?}") };
    assert!(reason.contains("RFC 9659"), "{reason}");
    assert!(matches!(decode(&[Coding::Brotli], &[0x11, 0x1e], 9), Err(DecodeError::Broken(_))));
}

#[test]
fn whatever_arrives_is_decoded_or_refused() {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    };
    for (coding, hex) in all() {
        let coded = bytes(hex);
        for _ in 0..2_000 {
            let mut changed = coded.clone();
            for _ in 0..=next() % 3 {
                let at = next() % changed.len();
                changed[at] = next() as u8;
            }
            if let Ok(decoded) = decode(&[coding], &changed, 64 << 10) {
                assert!(decoded.len() <= 64 << 10);
            }
        }
    }
}
