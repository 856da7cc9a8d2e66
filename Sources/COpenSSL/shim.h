#ifndef C_OPENSSL_H
#define C_OPENSSL_H
// OpenSSL's macros are invisible to Swift: each one that we use has an inline twin here.
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/opensslv.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>

static const uint64_t COPENSSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t COPENSSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t COPENSSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t COPENSSL_OP_PRIORITIZE_CHACHA = SSL_OP_PRIORITIZE_CHACHA;
static const uint64_t COPENSSL_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF;
static const uint64_t COPENSSL_OP_NO_ANTI_REPLAY = SSL_OP_NO_ANTI_REPLAY;

static inline int c_ssl_ctx_set_min_proto_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_min_proto_version(c, v); }
static inline int c_ssl_ctx_set_max_proto_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_max_proto_version(c, v); }
static inline long c_ssl_ctx_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long c_ssl_set_mode(SSL *s, long m) { return SSL_set_mode(s, m); }
static inline long c_ssl_clear_mode(SSL *s, long m) { return SSL_clear_mode(s, m); }
static inline long c_ssl_ctx_set_session_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline int c_ssl_ctx_set1_groups_list(SSL_CTX *c, const char *l) { return (int)SSL_CTX_set1_groups_list(c, (char *)l); }
static inline void c_ssl_ctx_set_servername_callback(SSL_CTX *c, int (*f)(SSL *, int *, void *)) { SSL_CTX_set_tlsext_servername_callback(c, f); }
static inline void c_ssl_ctx_set_servername_arg(SSL_CTX *c, void *a) { SSL_CTX_set_tlsext_servername_arg(c, a); }
static inline int c_ssl_set_tlsext_host_name(SSL *s, const char *n) { return (int)SSL_set_tlsext_host_name(s, n); }
static inline void c_ssl_ctx_set_app_data(SSL_CTX *c, void *d) { SSL_CTX_set_app_data(c, d); }
static inline void *c_ssl_ctx_get_app_data(SSL_CTX *c) { return SSL_CTX_get_app_data(c); }
static inline void c_ssl_set_app_data(SSL *s, void *d) { SSL_set_app_data(s, d); }
static inline void *c_ssl_get_app_data(SSL *s) { return SSL_get_app_data(s); }
static inline void c_bio_set_retry_read(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_read(b); }
static inline void c_bio_set_retry_write(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_write(b); }
static inline void c_bio_clear_retry_flags(BIO *b) { BIO_clear_retry_flags(b); }
static inline EVP_PKEY *c_evp_ec_gen(const char *curve) { return EVP_EC_gen(curve); }
// OSSL_PARAM keeps the pointers that it is given: here they are static or outlive the call, a Swift literal's would not.
static inline int c_mac_set_sha256_key(EVP_MAC_CTX *mac, const unsigned char *key, size_t length) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, length),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0), OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters);
}
static inline EVP_PKEY *c_public_key_from(const char *type, OSSL_PARAM *parameters) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}
// An RSA public key of modulus and exponent, both big-endian.
static inline EVP_PKEY *c_rsa_public_key(const unsigned char *n, size_t n_size, const unsigned char *e, size_t e_size) {
    BIGNUM *modulus = BN_bin2bn(n, (int)n_size, NULL), *exponent = BN_bin2bn(e, (int)e_size, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY *key = NULL;
    if (modulus && exponent && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) && (parameters = OSSL_PARAM_BLD_to_param(builder)))
        key = c_public_key_from("RSA", parameters);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}
// An EC public key of an uncompressed point on the named curve.
static inline EVP_PKEY *c_ec_public_key(const char *curve, const unsigned char *point, size_t size) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, size), OSSL_PARAM_construct_end()};
    return c_public_key_from("EC", parameters);
}
// One digest a request: EVP would go through a provider's tables for each of its steps, which costs as much again as the
// digest of an API key. These functions are marked deprecated since 3.0, and are there.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
static inline void c_sha256(const void *bytes, size_t count, unsigned char *digest) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, bytes, count);
    SHA256_Final(digest, &context);
}
#pragma clang diagnostic pop
static inline int c_err_get_reason(unsigned long e) { return ERR_GET_REASON(e); }
static inline int c_evp_pkey_security_bits(EVP_PKEY *k) { return EVP_PKEY_get_security_bits(k); }
static inline unsigned long c_bio_get_mem_data(BIO *b, char **p) { return (unsigned long)BIO_get_mem_data(b, p); }
static inline int c_sk_general_name_num(GENERAL_NAMES *n) { return sk_GENERAL_NAME_num(n); }
static inline GENERAL_NAME *c_sk_general_name_value(GENERAL_NAMES *n, int i) { return sk_GENERAL_NAME_value(n, i); }
static inline int c_ssl_set1_verify_cert_store(SSL *s, X509_STORE *st) { return (int)SSL_set1_verify_cert_store(s, st); }
static inline void c_sk_x509_name_free(STACK_OF(X509_NAME) *n) { sk_X509_NAME_pop_free(n, X509_NAME_free); }
static inline STACK_OF(X509) *c_ssl_ctx_chain(SSL_CTX *c) {
    STACK_OF(X509) *chain = NULL;
    return SSL_CTX_get0_chain_certs(c, &chain) == 1 ? chain : NULL;
}
static inline int c_evp_pkey_has_explicit_curve(EVP_PKEY *k) {
    int is = 0;
    return EVP_PKEY_get_int_param(k, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is) == 1 && is;
}
static inline int c_sk_x509_num(STACK_OF(X509) *c) { return sk_X509_num(c); }
static inline X509 *c_sk_x509_value(STACK_OF(X509) *c, int i) { return sk_X509_value(c, i); }
static inline int c_sk_x509_object_num(STACK_OF(X509_OBJECT) *o) { return sk_X509_OBJECT_num(o); }
static inline X509_OBJECT *c_sk_x509_object_value(STACK_OF(X509_OBJECT) *o, int i) { return sk_X509_OBJECT_value(o, i); }
static const unsigned long COPENSSL_XN_FLAG_RFC2253 = XN_FLAG_RFC2253;
#endif
