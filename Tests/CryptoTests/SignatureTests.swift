import Crypto
import Testing

/// RFC 7515 appendix A and RFC 8037 appendix A.
private let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

@Suite struct SignatureTests {
    struct Vector: CustomTestStringConvertible, Sendable {
        var algorithm: SignatureAlgorithm
        var signed: String
        var signature: String
        var key: @Sendable () throws -> VerificationKey
        var testDescription: String { "\(algorithm)" }
    }

    static let vectors = [
        Vector(
            algorithm: .hs256, signed: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payload,
            signature: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            key: {
                try .hmac(
                    secret: bytes("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
                    algorithms: [.hs256])
            }),
        Vector(
            algorithm: .rs256, signed: "eyJhbGciOiJSUzI1NiJ9." + payload,
            signature: "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
                + "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
                + "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm"
                + "tVrBp0igcN_IoypGlUPQGe77Rw",
            key: { try .rsa(modulus: modulus, exponent: [1, 0, 1], algorithm: .rs256) }),
        Vector(
            algorithm: .es256, signed: "eyJhbGciOiJFUzI1NiJ9." + payload,
            signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            key: { try .ecdsa(.p256, x: x, y: y) }),
        Vector(
            algorithm: .edDSA, signed: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            key: { try .ed25519(bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")) }),
    ]

    static let modulus = bytes(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs"
            + "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6"
            + "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h"
            + "4FRWyuXpoQ")
    static let x = bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
    static let y = bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")

    /// OpenSSL takes a PSS signature without its leading zero byte for the number that it is.
    @Test("an RSA signature is as long as its modulus (RFC 8017 section 8.1.2)")
    func length() throws {
        let modulus = bytes(
            "u70TkaXjtXY1TmmccUjHRrqCIoXEuciRkSt-DQcjUc7msNg57I_7zq1hAwfui9cL63OrnvodAn65-YtVplEKB2J61WlmAXegB0iYk5AfBapZ"
                + "QcKZSfYSKIG_kjC3oGJiqrG3PoWEMqxuv_G2hzNJ4SuGKP9Xl2dEFubYGp-f4CSbB4FxlxfOYOnd9409_1yZ28sBzS0GurCCFjLq0TR-qp71"
                + "lEoBl7aHBAbu6k7hamOXD2MKSp1q8hBXeu6-cmXy9r65Zcybqk6jPPXG0-CokllyVOeP-e-Zwb96ZJjvxKRMALiPg-eCXRHKs3nW3VLgw4f3"
                + "dHRLHPoOcEte7SkSSQ")
        let signature = bytes(
            "AFo6DWKV_5x4KyHHaVWQ51oE0mBxhj25Ybw-hPclNRKUm3xHKzRtJ2bf8JSK9rW33Uo6VZJkWPSIE8stiFx17URPg3r7OuFeXreNrGMP0bw4"
                + "a5gH9TZXkFgYADVxKn7B9b3hjBUCC9_6KFm3smrcXpi5zWInyRcvjWY_Va4NhatzOLvLPB7bCOOipE05bcOFP0X37RvTuSyZCDdDYiXge6g8"
                + "nCBAejqfrgHDoczPZpVhAL6CqAwAQdGgf3LqeUfmMwJF7wgL9WABaA1hkn6juatWJGC1ggrlRp1O-etOrGf1TyYuMzawK1hiTSAzjz6Oz8D9"
                + "J9YdiNwhFx82TIqbHg")
        let key = try VerificationKey.rsa(modulus: modulus, exponent: [1, 0, 1], algorithm: .ps256)
        #expect(signature[0] == 0)
        #expect(verify(signature, "message", key, .ps256))
        #expect(!verify(Array(signature.dropFirst()), "message", key, .ps256))
        #expect(!verify([0] + signature, "message", key, .ps256))
    }

    @Test("the signatures of the RFCs are good, and no changed one is", arguments: SignatureTests.vectors)
    func verified(_ vector: Vector) throws {
        let key = try vector.key()
        let signature = bytes(vector.signature)
        #expect(verify(signature, vector.signed, key, vector.algorithm))
        #expect(verify(signature, vector.signed, key, vector.algorithm), "a second time")
        #expect(!verify(signature, vector.signed + "x", key, vector.algorithm))
        for place in stride(from: 0, to: signature.count, by: 7) {
            var changed = signature
            changed[place] ^= 1
            #expect(!verify(changed, vector.signed, key, vector.algorithm))
        }
        for wrong in [[], Array(signature.dropLast()), signature + [0], [0] + signature, signature.map { _ in 0 }] {
            #expect(!verify(wrong, vector.signed, key, vector.algorithm))
        }
        for other in SignatureAlgorithm.allCases where other != vector.algorithm {
            #expect(!verify(signature, vector.signed, key, other))
        }
    }

    @Test("key material that is weak or broken is refused")
    func weakKeys() {
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.rsa(modulus: Array(Self.modulus.dropFirst()), exponent: [3], algorithm: nil) }
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.rsa(modulus: Self.modulus + Self.modulus + Self.modulus + Self.modulus + [1], exponent: [3], algorithm: nil) }
        for exponent in [[], [0], [1], [2], [1, 0, 0], [1, 0, 0, 0, 1]] as [[UInt8]] {
            #expect(throws: VerificationKey.Fault.self) { try VerificationKey.rsa(modulus: Self.modulus, exponent: exponent, algorithm: nil) }
        }
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.ecdsa(.p256, x: Self.y, y: Self.x) }
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.ecdsa(.p256, x: Self.x + [0], y: Self.y) }
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.ecdsa(.p384, x: Self.x, y: Self.y) }
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.ed25519([1, 2, 3]) }
        #expect(throws: VerificationKey.Fault.self) { try VerificationKey.hmac(secret: Array(repeating: 1, count: 32), algorithms: [.hs256, .hs512]) }
    }

    @Test("SHA-256 of the standard's examples")
    func digests() {
        #expect(SHA256.digest([]).hexadecimal == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256.digest(Array("abc".utf8)).hexadecimal == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let digest = SHA256.digest([1])
        #expect(Digest256(hexadecimal: digest.hexadecimal) == digest)
        #expect(Digest256(hexadecimal: "00") == nil)
    }
}

private func verify(_ signature: [UInt8], _ text: String, _ key: VerificationKey, _ algorithm: SignatureAlgorithm) -> Bool {
    Array(text.utf8).withUnsafeBytes { SignatureVerifier().verify(signature, of: $0, by: key, algorithm) }
}

private func bytes(_ text: String) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var (word, bits) = (0, 0)
    var made: [UInt8] = []
    for character in text.utf8 {
        word = (word << 6 | alphabet.firstIndex(of: character)!) & 0xFFFF
        bits += 6
        if bits >= 8 {
            bits -= 8
            made.append(UInt8(word >> bits & 0xFF))
        }
    }
    return made
}
