//! The examples of RFC 7515 appendix A, RFC 7519 section 3.1 and RFC 8037 appendix A.4, against
//! the keys that are beside them. They are of 2011 and name no audience, so as a whole they are
//! refused; here it is about their signatures.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::problems::{Pointer, Problems};

/// `{"iss":"joe","exp":1300819380,"http://example.com/is_root":true}`, in three examples.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS\
                       9pc19yb290Ijp0cnVlfQ";

fn keys(algorithm: &str, jwk: Value) -> Keys {
    let spec = json!({ "algorithm": algorithm, "jwk": jwk });
    let sources = KeySources {
        issuer: "joe",
        algorithms: &[algorithm.to_owned()],
        keys: &[serde_json::from_value(spec).unwrap()],
        jwks: None,
        document: None,
        wait: Duration::ZERO,
    };
    let mut problems = Problems::default();
    let keys = Keys::new(sources, &Pointer::default(), &mut problems);
    problems.finish().unwrap();
    keys
}

fn hmac() -> Keys {
    let k =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    keys("HS256", json!({ "kty": "oct", "k": k }))
}

fn rsa() -> Keys {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz\
             P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf6\
             3kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw\
             Kh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW\
             yuXpoQ";
    keys("RS256", json!({ "kty": "RSA", "n": n, "e": "AQAB" }))
}

fn ecdsa() -> Keys {
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    keys("ES256", json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }))
}

const HS256: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const RS256: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Q\
                     c_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTy\
                     WzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwu\
                     sC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A\
                     XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

const ES256: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqP\
                     P3-Kg6NU1Q";

fn verifies(keys: &Keys, header: &str, payload: &str, signature: &str) -> bool {
    let text = format!("{header}.{payload}.{signature}");
    Token::parse(text.as_bytes()).is_ok_and(|token| keys.verify(&token.jws).is_ok())
}

#[test]
fn verifies_the_examples() {
    assert!(verifies(&hmac(), "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", PAYLOAD, HS256));
    assert!(verifies(&rsa(), "eyJhbGciOiJSUzI1NiJ9", PAYLOAD, RS256));
    assert!(verifies(&ecdsa(), "eyJhbGciOiJFUzI1NiJ9", PAYLOAD, ES256));
}

#[test]
fn refuses_the_examples_with_another_payload() {
    let payload = PAYLOAD.replace("p0cnVl", "p0cnVs");
    assert_ne!(payload, PAYLOAD);
    for (keys, header, signature) in [
        (hmac(), "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", HS256),
        (rsa(), "eyJhbGciOiJSUzI1NiJ9", RS256),
        (ecdsa(), "eyJhbGciOiJFUzI1NiJ9", ES256),
    ] {
        assert!(!verifies(&keys, header, &payload, signature));
        assert!(!verifies(&keys, header, PAYLOAD, ""));
        assert!(!verifies(&keys, header, PAYLOAD, &"A".repeat(signature.len() / 4 * 4)));
    }
}

#[test]
fn refuses_the_unsecured_example() {
    for keys in [hmac(), rsa(), ecdsa()] {
        assert!(!verifies(&keys, "eyJhbGciOiJub25lIn0", PAYLOAD, ""));
        assert!(!verifies(&keys, "eyJhbGciOiJub25lIn0", PAYLOAD, HS256));
    }
}

/// RFC 7515 appendix A.4 signs a text that is no JSON: no token, but a signature.
#[test]
fn verifies_the_example_on_p_521() {
    let x = "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceq\
             wQGk";
    let y = "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3k\
             yMj2";
    let signature = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB\
                     34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNr\
                     mxYbSW9ERBXukOXolLzeO_Jn";
    let keys = keys("ES512", json!({ "kty": "EC", "crv": "P-521", "x": x, "y": y }));
    verifies_text(&keys, b"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA", signature);
}

/// RFC 8037 appendix A.4 signs a text that is no JSON either.
#[test]
fn verifies_the_example_on_ed25519() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp\
                     Ar_MuM0KAg";
    let keys = keys("EdDSA", json!({ "kty": "OKP", "crv": "Ed25519", "x": x }));
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    verifies_text(&keys, message, signature);
}

fn verifies_text(keys: &Keys, message: &[u8], signature: &str) {
    let signature = token::decode(signature.as_bytes()).unwrap();
    let verifying = &keys.configured[0].verifying;
    assert!(verifying.verify(message, &signature));
    assert!(!verifying.verify(&message[1..], &signature));
    assert!(!verifying.verify(message, &vec![0; signature.len()]));
}
