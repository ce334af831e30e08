/*
 * tls_fixtures.h - certificates and keys for tests; nobody else trusts them
 *
 * Made with openssl: root > intermediate > EC leaf with names, and self-signed
 * ones of other kinds; the keys in the forms that tools write.
 */
#ifndef TESTS_UNIT_TLS_FIXTURES_H
#define TESTS_UNIT_TLS_FIXTURES_H

#define FIXTURE_EC                                                           \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIB0DCCAXWgAwIBAgIUSKqb8T4McjVGeqnqE9fMF6BuG24wCgYIKoZIzj0EAwIw\n" \
	"HDEaMBgGA1UEAwwRVGVzdCBJbnRlcm1lZGlhdGUwIBcNMjYxMTI1MTUzODM1WhgP\n" \
	"MjEyNjExMDExNTM4MzVaMBoxGDAWBgNVBAMMD3d3dy5leGFtcGxlLmNvbTBZMBMG\n" \
	"ByqGSM49AgEGCCqGSM49AwEHA0IABPZEOznSM9hm+kISCh4eZyyXa9e7A1MmBrFG\n" \
	"xRBpyJopJCgeJPGYunqliMniGwAtiD1IIfch8G/Qw2y2LuA5JYujgZQwgZEwQQYD\n" \
	"VR0RBDowOIIPd3d3LmV4YW1wbGUuY29tggtleGFtcGxlLmNvbYISKi5zaG9wLmV4\n" \
	"YW1wbGUuY29thwTAAAIBMAwGA1UdEwEB/wQCMAAwHQYDVR0OBBYEFC5OLRg6XaAU\n" \
	"2XZ2zVsCN/ghhajXMB8GA1UdIwQYMBaAFB4BZ8Y3fJy1SOnzf7wR5pTD2q2oMAoG\n" \
	"CCqGSM49BAMCA0kAMEYCIQCNirwSwna/tDTgglnKQxXAOl/zDqqftWIDdpZyaKQX\n" \
	"KAIhAJpU5cr7gCDGlIkGsUAP0ywUS2XEm6/JLYv6kv4dlDbn\n"                 \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_INTERMEDIATE                                                 \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIBhzCCAS2gAwIBAgIUZlKbzs1KxS414gWqv94QQ3mYO7YwCgYIKoZIzj0EAwIw\n" \
	"FDESMBAGA1UEAwwJVGVzdCBSb290MCAXDTI2MTEyNTE1MzgyNloYDzIxMjYxMTAx\n" \
	"MTUzODI2WjAcMRowGAYDVQQDDBFUZXN0IEludGVybWVkaWF0ZTBZMBMGByqGSM49\n" \
	"AgEGCCqGSM49AwEHA0IABI8o3UQUfQcvgeVRjWVRp/isNddPNVjx0LIiVYz2Og+q\n" \
	"csUH+unP1Kh0HUVHmQBaYIgKVf3fCDk7F8LrvGCVWHijUzBRMA8GA1UdEwEB/wQF\n" \
	"MAMBAf8wHQYDVR0OBBYEFB4BZ8Y3fJy1SOnzf7wR5pTD2q2oMB8GA1UdIwQYMBaA\n" \
	"FHnkZ6egYcXBBy518nNU5x6Nz+BdMAoGCCqGSM49BAMCA0gAMEUCIQDBw0boAa7R\n" \
	"SpZ0noDZWr4lvWtpIfD5WKq1zhmLxfQ8+QIgD9hNSog3MUuAZawR3b0/3Q0BNJ+3\n" \
	"wKQIk5+4ZdCLOYI=\n"                                                 \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_ROOT                                                         \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIBgDCCASWgAwIBAgIUI+GAbqVbN4EavM3BbFs3tPrS2jUwCgYIKoZIzj0EAwIw\n" \
	"FDESMBAGA1UEAwwJVGVzdCBSb290MCAXDTI2MTEyNTE1MzgyNloYDzIxMjYxMTAx\n" \
	"MTUzODI2WjAUMRIwEAYDVQQDDAlUZXN0IFJvb3QwWTATBgcqhkjOPQIBBggqhkjO\n" \
	"PQMBBwNCAAQBGEr6yuilHkMDoe1M2VjbzbE/jK6JNVpqGUlP6cZQPgE6BR3TWNxC\n" \
	"HfxemOVuITZTIslKOaPJlp4sJMTyAJUVo1MwUTAdBgNVHQ4EFgQUeeRnp6BhxcEH\n" \
	"LnXyc1TnHo3P4F0wHwYDVR0jBBgwFoAUeeRnp6BhxcEHLnXyc1TnHo3P4F0wDwYD\n" \
	"VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAiTgSNGMvgqOvE3AmCFQr\n" \
	"SPVmEkjViF88hsuVfvOfzwQCIQD/9eKk0MpYSjXIiJAeMWEevBcbv1V+yCzMjgJh\n" \
	"qfLCkQ==\n"                                                         \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_RSA                                                          \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIDMzCCAhugAwIBAgIUOq2EeuOwVLfHgfEpNI7v/M2Uzu0wDQYJKoZIhvcNAQEL\n" \
	"BQAwGjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMCAXDTI2MTEyNTE1MzgyNloY\n" \
	"DzIwNzYxMTEyMTUzODI2WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wggEi\n" \
	"MA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCv/ms2TDPzdvKAJ+GoqcMIeYh8\n" \
	"X3SSonk7VaRf1Nkkg1QXdNal0oq1FnoLNsTuAiPfeLiv4U96XkOk/yozhq0VuhP3\n" \
	"BtXxHbr0wf5NwkhN2do5ZAiG70XOsjfiVwwqiQdYdLr6z1TCDD4A5/qiSci5hqU3\n" \
	"iIG39Fbes1upZ3zJVYE9UTH+FjCL66nWEwOpxmu/Y5yZ5+Az+41Cn1yONSyAgKh3\n" \
	"e5pDyVKO/im2TZ1TpRXYQ7nIKk7rdc7zO/wDgbyLKidqvTf0dSDmOq8+0wacG9rn\n" \
	"649Uj7V1g/KB5TBkZSSsh0HzOGIyeg1hFAWnWFWn3Xpg47wXlVJv2ixlIgwxAgMB\n" \
	"AAGjbzBtMB0GA1UdDgQWBBSSR6FFNcsawWmyqZgnO1sBRjy9FzAfBgNVHSMEGDAW\n" \
	"gBSSR6FFNcsawWmyqZgnO1sBRjy9FzAPBgNVHRMBAf8EBTADAQH/MBoGA1UdEQQT\n" \
	"MBGCD3d3dy5leGFtcGxlLmNvbTANBgkqhkiG9w0BAQsFAAOCAQEAo9bf5dWaCW5P\n" \
	"2miJa6e5LDjmU3RF22lWUPfIcZpKa4HRyZS3FJVlETIs37sDxyVytOLkNbfSFe0B\n" \
	"ZfAzXr4qXfTCrYPmQT86nvX3OKkRdk1fsYgt/yQuT7XYW8K2Uc/84D7e8eoQn2hp\n" \
	"Cf9xBIKCnY0GtdIXh+Zph/wyjpoW1Pl1xqmKzgUN43riPpBlNz4832wroBshwdlG\n" \
	"qCbgjV9LR2+1rq/N7Ra1EHCK0TckvyUdeJoAwAtSGcU3ujwZjTWO+zXRgonbQMNT\n" \
	"SG190TEEuaJ7GI7F9F+nma6WlnBxu+/nLklJ9yRkguoOtcGZR8Ck/8PHZD0+qTAT\n" \
	"VPpAAAo5cQ==\n"                                                     \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_RSA3072                                                      \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIID/zCCAmegAwIBAgIUPqFwuCT7rjrrr9Ob1huOkGxWN8cwDQYJKoZIhvcNAQEL\n" \
	"BQAwDjEMMAoGA1UEAwwDbWlkMCAXDTI2MTEyNTE1MzgyOFoYDzIxMjYxMTAxMTUz\n" \
	"ODI4WjAOMQwwCgYDVQQDDANtaWQwggGiMA0GCSqGSIb3DQEBAQUAA4IBjwAwggGK\n" \
	"AoIBgQDIIk6SESe+XAmAd5I5OCX26z3OuJqfgGmIm4lV9zrH3TdYKal1L9JpydKJ\n" \
	"5Appd1Hf+mLuBtE4UgAVoV1W+bs+H8GfZc2jABLXTx47pK7eJKf5SXqzbpr3ehLo\n" \
	"MtNgY7gqpK33K7oMXEsDAApzKEdWHgjcFiYdTQrutrlbWFxr7KwhuMeGn6Yuqwrm\n" \
	"TOpYiwHedsLru0OsOSwc9SDwGtkPYz/NSCm09nod+hn6DjSYJ+TLkq5wvOVVeufu\n" \
	"1W/iZhk/OiikTuW9tHiGr7DjfSGsEz9lBOfBBXKFcVn6zEuGkf/YjmTNlfWHhRTs\n" \
	"wF5baTJJjcUDdjArgjgF4iAMFTeR9MA4B5NwlyYHYl0cwYLSEXJM8Yhp95m2lNCh\n" \
	"iVBbP7rK4oBz77r3aMRJ8TF3Wh3gp4e8IR3IftZm3rV/wlepdIq7BpQB5GzfkVQ2\n" \
	"oIeypfQO4TsZABegfi07INWvqQyHpDqqu5fhXaDRt13t6wFkw6JaLVHLyHpbsjqx\n" \
	"u+/SUb0CAwEAAaNTMFEwHQYDVR0OBBYEFFrfRIrJCCDznX2Vj9C5B+7nX01lMB8G\n" \
	"A1UdIwQYMBaAFFrfRIrJCCDznX2Vj9C5B+7nX01lMA8GA1UdEwEB/wQFMAMBAf8w\n" \
	"DQYJKoZIhvcNAQELBQADggGBAA8fUI3H3XoRiORIMISvKF+YLuURyGBONBHgN6aQ\n" \
	"m8iNhyBQiXdlZ6Ytd2LQy7M9yqHCDuDBO5TNFdj2bndcxE6hI30PPW2WXpDhMyrk\n" \
	"C6421yFvxaiqwOZqOtOGaUQKl3/DGoK9O3vdRgyHsUYhoaH4D1uBll8+ZzmyF+7q\n" \
	"uEqM3B6u5IQQ7giJa36gsot1pgDGO/tvSZRiXvCoKWOk53SU1y/4O7M90tMk8BU0\n" \
	"RW591tP/wZgKd6OdvZ6SFYNy5HRG0LiAkv3ScrQ45h7BO+ngTYLZ+1E4dbiMF3bO\n" \
	"MPJpOWDjEAPAF5hEYuoA7x9LuIInvXTe7zeCK5KNvneP2NrOt+1PhN5xqROtK0/l\n" \
	"/gtykcdpwkFgM7QQ15yLwD+up/CHTOFwZrDR+4UQ6Nnv6QLyDkoywwPMbPrV3tVg\n" \
	"W+FBoSlR95Tb6KVBfDmRFM2c40Keg4zDDXMzCbxHQG/U646vg96oreqykMdxiL3e\n" \
	"OameANEuLdTJwbTFBiD1yYik+A==\n"                                     \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_RSA4096                                                      \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIE/zCCAuegAwIBAgIUe69li3zjTXS835KHVCuErzLTz/owDQYJKoZIhvcNAQEL\n" \
	"BQAwDjEMMAoGA1UEAwwDYmlnMCAXDTI2MTEyNTE1MzgyOFoYDzIxMjYxMTAxMTUz\n" \
	"ODI4WjAOMQwwCgYDVQQDDANiaWcwggIiMA0GCSqGSIb3DQEBAQUAA4ICDwAwggIK\n" \
	"AoICAQCwPKeactdF7XvPke99s6tgZCkARz8cEQHhG+deDe7ZL6LTkU/RZNYiIT0W\n" \
	"31TMwKMqvYH63/8viRiP8MVWmhig2uoECqPm2GPYEYJeFeAs0UeyyIYH0yCTYZ1U\n" \
	"hyzF+a44fUprrO8acznwp5iA92KM2L2ecHDf9mgan9Rp9dWXWX5ZoyNOOdDVEPAd\n" \
	"R8Dy0U3kDk5eugUs27G1FSlqB5CC4g1oZ0K91m+TYRvO3SUaAic8N1jZ/jgubLIP\n" \
	"43cSJbnI0SYjBpnKvUAmirGQIaLEoJoa1Pg7naiHwYJXcOmmhCkzn+cJV5+f4GHu\n" \
	"4y3k8OFFm1wkfR0TIabyhqw1MApIPAwENoevtCS/V6gXf/ZCwCAcP3xEdWZrECJZ\n" \
	"gWhqFJmz6+ECOji0XxOOTn559ZExV98mEGyoiGkpEmYkYZrMdVXzen9SbhR9gKr0\n" \
	"pfVuciEj541zgTHXAOsOIY/2Li/c/fYi63FJ6g5lzBZAUdbRkuuFG2qZdynzj5tJ\n" \
	"w7bKSleIUu1Hy4CxFX4aCCFrElY97HPxL9GavdHTVcZ0WJL6pqCESme09RhXwmV2\n" \
	"84x8E0+Mkkrvh2A9VT7TEGOkKfOwbYdOqFDQ1CTxa3nD+Azwbk3IrNv3F0IVTpfJ\n" \
	"C1/oj0ATJuQ9tnukjFu1TyWvZJx8Hh9P+XM4qPrrLkomlVcPvQIDAQABo1MwUTAd\n" \
	"BgNVHQ4EFgQUfATRgW45FDQB+IPoiftLoudJXB4wHwYDVR0jBBgwFoAUfATRgW45\n" \
	"FDQB+IPoiftLoudJXB4wDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOC\n" \
	"AgEAYzewl60Wl4pwcKOKWyMyDZF6Yn0wsAIW7wDPwQsZaE1S8W/RKKVRqoM/2igg\n" \
	"seyvnWabSfx4UYKI61115kcGkEho46GIR3Ngt/2P7GX/iLyrgJ460JlIm9FCLfhM\n" \
	"7MXA4wc8cd6zmwG08sa/71vqXmKDY0u9+Teuvl33azqqdDJS/nFNzm9Bm3A525wH\n" \
	"9JDQ0MiLghVWY4C/Cp52mQcKWigYCTdpOu8QhlIav2oidcJRsn3svk3vW0JPO4P+\n" \
	"4Pt7x+349I746Be2Ft0JdGieWSfjjodbIERVfdAME2QsoOCBHv1e7A3JrdbEQXs2\n" \
	"rXuOyNp+mVxwD6X0lwTldiCkNjn/nVHtcB9ujkN6T1zShA0DVsUKkCbm4FG99JfR\n" \
	"rn+Lkam2wv90X8z50B0myMw+C9mZUCoOds/WASZNu2rOlxJn9NBDAM/JL35av1Gl\n" \
	"kxu9ilEWdVvV5JaKp2R2lxSvJv9Y3gcUZwi1GgLVQefr5HGRaoNKtFMfn5fEZVMT\n" \
	"Co4/hxhPMPEvI0DjTbwllCVgCL9/JgcOQe0Qv8dvwXGQcMY3FZEl8vvBzuM6DP+1\n" \
	"n0hxjvv3aVDVyqGhtq/U6oZTPLeGgD/SxipB/Jgj5TsXJU0Ssp1Fg4I3PlgE9f6z\n" \
	"f4mc4IQYGl0GEubZf/9lMyvlXk/eBqtN2oDs9ebabRpad1U=\n"                 \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_RSA1024                                                      \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIB/jCCAWegAwIBAgIUSlLd6eAUy/2BNrh740gtYkX9ImUwDQYJKoZIhvcNAQEL\n" \
	"BQAwEDEOMAwGA1UEAwwFc21hbGwwIBcNMjYxMTI1MTUzODI4WhgPMjEyNjExMDEx\n" \
	"NTM4MjhaMBAxDjAMBgNVBAMMBXNtYWxsMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB\n" \
	"iQKBgQCjROTeyE4pAqmeA4ck7ZGWsjMqjaJR0Kj2TQ9YLFdO/KL5tCvpgaD41DFH\n" \
	"Ue1dmhvCYOaWjAWwR1+5u6BGt5hDLfg16ZBj0PY3KmpNduLhV/i8lrIyJM/pr7eY\n" \
	"esYnqFmaxV2U/6WMUO2i4Gq1r+0JnkWAQB27nnlT1BPxY4jAuwIDAQABo1MwUTAd\n" \
	"BgNVHQ4EFgQUuHy5jPttPsHK4Z3fhzB4CkvwXUIwHwYDVR0jBBgwFoAUuHy5jPtt\n" \
	"PsHK4Z3fhzB4CkvwXUIwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOB\n" \
	"gQCTi3kw/H+49iTvhoIR9aGBlrltTYCMsu47v9gsH7mD4j6+CqF9yCmkLaPCwaiC\n" \
	"+00DCVQZjYGQt0wOSsyId50cYWkp7SFhQgZBJ6OGnXN44MCmZmfAkeFGnUBFMbig\n" \
	"pwqQdfmaYIjAEXTw2f2Qf46HqsmHxmHPTrwYze6IcXBa0Q==\n"                 \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_P384                                                         \
	"-----BEGIN CERTIFICATE-----\n"                                      \
	"MIIBszCCATigAwIBAgIUZ1aieymFOkxrMf7gixomOd1Ka3EwCgYIKoZIzj0EAwIw\n" \
	"DzENMAsGA1UEAwwEcDM4NDAgFw0yNjExMjUxNTM4MjhaGA8yMTI2MTEwMTE1Mzgy\n" \
	"OFowDzENMAsGA1UEAwwEcDM4NDB2MBAGByqGSM49AgEGBSuBBAAiA2IABOlIAxvQ\n" \
	"2NTrGykl1dg4UKBC1zncV7nVVBDnGfNhwsxI67irsdYK1ofQgqP7JMSTS96JHr2j\n" \
	"1DzYyQ5ZJt5drvyDN9O9MRF9RlbV3u3vKpgmJ2WHpWHOdwusRZ+nlyzMhKNTMFEw\n" \
	"HQYDVR0OBBYEFMyCPouQ22GHoRKNEtOdFB61iUmLMB8GA1UdIwQYMBaAFMyCPouQ\n" \
	"22GHoRKNEtOdFB61iUmLMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDaQAw\n" \
	"ZgIxAPnDJi7/9KGAt3GzrnLJ4382QHOQqwWhvHzQlZ6JAcDvUccbxFMAxASJ2euN\n" \
	"dt+RjAIxAJrEgHgwhnZppi1mZOPTiUvurmNbbN/847hmjPqtBmFICdXS7wuAeZPi\n" \
	"y9e4k6g1LA==\n"                                                     \
	"-----END CERTIFICATE-----\n"

#define FIXTURE_EC_KEY                                                       \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgLu7rPkMfdrZcyrc6\n" \
	"rCHUosIM9w+/8rOODjVpb1NQWV6hRANCAAT2RDs50jPYZvpCEgoeHmcsl2vXuwNT\n" \
	"JgaxRsUQaciaKSQoHiTxmLp6pYjJ4hsALYg9SCH3IfBv0MNsti7gOSWL\n"         \
	"-----END PRIVATE KEY-----\n"

#define FIXTURE_EC_SEC1_KEY                                                  \
	"-----BEGIN EC PRIVATE KEY-----\n"                                   \
	"MHcCAQEEIC7u6z5DH3a2XMq3Oqwh1KLCDPcPv/Kzjg41aW9TUFleoAoGCCqGSM49\n" \
	"AwEHoUQDQgAE9kQ7OdIz2Gb6QhIKHh5nLJdr17sDUyYGsUbFEGnImikkKB4k8Zi6\n" \
	"eqWIyeIbAC2IPUgh9yHwb9DDbLYu4Dkliw==\n"                             \
	"-----END EC PRIVATE KEY-----\n"

#define FIXTURE_RSA_KEY                                                      \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCv/ms2TDPzdvKA\n" \
	"J+GoqcMIeYh8X3SSonk7VaRf1Nkkg1QXdNal0oq1FnoLNsTuAiPfeLiv4U96XkOk\n" \
	"/yozhq0VuhP3BtXxHbr0wf5NwkhN2do5ZAiG70XOsjfiVwwqiQdYdLr6z1TCDD4A\n" \
	"5/qiSci5hqU3iIG39Fbes1upZ3zJVYE9UTH+FjCL66nWEwOpxmu/Y5yZ5+Az+41C\n" \
	"n1yONSyAgKh3e5pDyVKO/im2TZ1TpRXYQ7nIKk7rdc7zO/wDgbyLKidqvTf0dSDm\n" \
	"Oq8+0wacG9rn649Uj7V1g/KB5TBkZSSsh0HzOGIyeg1hFAWnWFWn3Xpg47wXlVJv\n" \
	"2ixlIgwxAgMBAAECggEAAfbhhHgiRk/oEgUf8C2A50nP+69nEjHtD3v7uzQZfl5W\n" \
	"5HIh6TTp5m6LSy+/z/ZHJznmOdRWekOuFpvggTW6Hdl3WpUBc1EFIrE9oOmPvAq3\n" \
	"9FcI/1SRX2a+1/Bnytu/sL2Qzrbct9PCJ2lvcztGmceGdZG4/PAlvhObbM8iZe7h\n" \
	"JRtZFk1xc5tdo7SGy0mQ86FeT+GyiVr9JwIzY0ARZQdcU06B4xZehlUEQi5jDgm1\n" \
	"Y7WApnT6WAypTy3vR3NCNBieQkTyHWllfyRpKmr7EZi5A523a2/fkWfUj3ByWJza\n" \
	"bTOD7lGTE31R486A8FdgHCx//GshVpsJzWrFKGa+dwKBgQDgC5Et2AI9u8hQE+C0\n" \
	"g1hQBFL+WdvrnhgcMi5b7qOVJSEqqWgSR9/saSed5CPFhIOb0uEoMaQR7NcBGoXI\n" \
	"SJzS6oyJkF1EcFggx6O0IoZVQSmlqNDKESajKRywNNsnPE5jEkWIOj/ffFIgbZux\n" \
	"TM3yYPDbLjqaZVXjHT/u4K3towKBgQDJGGFIVuM23SaWzYMmy1AaQxbwDf+PbUiU\n" \
	"PJao+Vm4keDa1lvoBDighYoMA6H5QdPPRD3fHp3BcnUIWLa91PQVEvEiWr2bjK73\n" \
	"4bplCQAOEbOGfre3vGVlJIr3qfPjVuofMwmCfGy8bvlsHo2XbSddT3XApe8I8O9T\n" \
	"KoGKn/XUGwKBgQDeBJhphZUy99MZB5m1SDNLl/1mcEWux4u85T1rfKA+O/0R+a5X\n" \
	"70HHVK0dmeaY5ShGUkMtQYQE/15QiafpQYumtydtatIB8BJk6XEgINZdxaUvtIqy\n" \
	"syxGo4b6VmaWCvzi0Eh3JsIFBX2dBQE0QZgUiFwl1znbpm/mECY64gt5YQKBgQCP\n" \
	"9UgPRUQ7Tm4FnvG4n+ukIUsWZq8AujcvB4DDTl4QZz4U60e3/O2c3HxKxX76tUkw\n" \
	"I6Y3R++fQJTPeNK5au2g+IJvGY6LAFdxVMLe+WZ0q+9c5PIYMmJT2akySxQxN1M7\n" \
	"KoowQ2qEKt2brPOn55g6kFu3ohJQ0EpDuzYpSwHs6QKBgAs6+i/7BslsiO8jZkqF\n" \
	"j+D8aMUsoRtNLsJ5PZZ0K2r3UdaBTWiVolvfrPZIgx4GeJni4icBA35+KSYsxLft\n" \
	"SMBUGfyZI0muRe8UrgwTMomJenbyicKPMHH39wHlPYwwOhpnKS+A8zkFF0deq6WP\n" \
	"GO89r+sX0da8Uj+R60TKgerC\n"                                         \
	"-----END PRIVATE KEY-----\n"

#define FIXTURE_RSA_PKCS1_KEY                                                \
	"-----BEGIN RSA PRIVATE KEY-----\n"                                  \
	"MIIEpAIBAAKCAQEAr/5rNkwz83bygCfhqKnDCHmIfF90kqJ5O1WkX9TZJINUF3TW\n" \
	"pdKKtRZ6CzbE7gIj33i4r+FPel5DpP8qM4atFboT9wbV8R269MH+TcJITdnaOWQI\n" \
	"hu9FzrI34lcMKokHWHS6+s9Uwgw+AOf6oknIuYalN4iBt/RW3rNbqWd8yVWBPVEx\n" \
	"/hYwi+up1hMDqcZrv2OcmefgM/uNQp9cjjUsgICod3uaQ8lSjv4ptk2dU6UV2EO5\n" \
	"yCpO63XO8zv8A4G8iyonar039HUg5jqvPtMGnBva5+uPVI+1dYPygeUwZGUkrIdB\n" \
	"8zhiMnoNYRQFp1hVp916YOO8F5VSb9osZSIMMQIDAQABAoIBAAH24YR4IkZP6BIF\n" \
	"H/AtgOdJz/uvZxIx7Q97+7s0GX5eVuRyIek06eZui0svv8/2Ryc55jnUVnpDrhab\n" \
	"4IE1uh3Zd1qVAXNRBSKxPaDpj7wKt/RXCP9UkV9mvtfwZ8rbv7C9kM623LfTwidp\n" \
	"b3M7RpnHhnWRuPzwJb4Tm2zPImXu4SUbWRZNcXObXaO0hstJkPOhXk/hsola/ScC\n" \
	"M2NAEWUHXFNOgeMWXoZVBEIuYw4JtWO1gKZ0+lgMqU8t70dzQjQYnkJE8h1pZX8k\n" \
	"aSpq+xGYuQOdt2tv35Fn1I9wclic2m0zg+5RkxN9UePOgPBXYBwsf/xrIVabCc1q\n" \
	"xShmvncCgYEA4AuRLdgCPbvIUBPgtINYUARS/lnb654YHDIuW+6jlSUhKqloEkff\n" \
	"7GknneQjxYSDm9LhKDGkEezXARqFyEic0uqMiZBdRHBYIMejtCKGVUEppajQyhEm\n" \
	"oykcsDTbJzxOYxJFiDo/33xSIG2bsUzN8mDw2y46mmVV4x0/7uCt7aMCgYEAyRhh\n" \
	"SFbjNt0mls2DJstQGkMW8A3/j21IlDyWqPlZuJHg2tZb6AQ4oIWKDAOh+UHTz0Q9\n" \
	"3x6dwXJ1CFi2vdT0FRLxIlq9m4yu9+G6ZQkADhGzhn63t7xlZSSK96nz41bqHzMJ\n" \
	"gnxsvG75bB6Nl20nXU91wKXvCPDvUyqBip/11BsCgYEA3gSYaYWVMvfTGQeZtUgz\n" \
	"S5f9ZnBFrseLvOU9a3ygPjv9EfmuV+9Bx1StHZnmmOUoRlJDLUGEBP9eUImn6UGL\n" \
	"prcnbWrSAfASZOlxICDWXcWlL7SKsrMsRqOG+lZmlgr84tBIdybCBQV9nQUBNEGY\n" \
	"FIhcJdc526Zv5hAmOuILeWECgYEAj/VID0VEO05uBZ7xuJ/rpCFLFmavALo3LweA\n" \
	"w05eEGc+FOtHt/ztnNx8SsV++rVJMCOmN0fvn0CUz3jSuWrtoPiCbxmOiwBXcVTC\n" \
	"3vlmdKvvXOTyGDJiU9mpMksUMTdTOyqKMENqhCrdm6zzp+eYOpBbt6ISUNBKQ7s2\n" \
	"KUsB7OkCgYALOvov+wbJbIjvI2ZKhY/g/GjFLKEbTS7CeT2WdCtq91HWgU1olaJb\n" \
	"36z2SIMeBniZ4uInAQN+fikmLMS37UjAVBn8mSNJrkXvFK4MEzKJiXp28onCjzBx\n" \
	"9/cB5T2MMDoaZykvgPM5BRdHXquljxjvPa/rF9HWvFI/ketEyoHqwg==\n"         \
	"-----END RSA PRIVATE KEY-----\n"

/* The same key; its public exponent has 3331 bits more than it needs, and
 * what is signed with it is right. */
#define FIXTURE_RSA_LONG_KEY                                                 \
	"-----BEGIN RSA PRIVATE KEY-----\n"                                  \
	"MIIGRgIBAAKCAQEAr/5rNkwz83bygCfhqKnDCHmIfF90kqJ5O1WkX9TZJINUF3TW\n" \
	"pdKKtRZ6CzbE7gIj33i4r+FPel5DpP8qM4atFboT9wbV8R269MH+TcJITdnaOWQI\n" \
	"hu9FzrI34lcMKokHWHS6+s9Uwgw+AOf6oknIuYalN4iBt/RW3rNbqWd8yVWBPVEx\n" \
	"/hYwi+up1hMDqcZrv2OcmefgM/uNQp9cjjUsgICod3uaQ8lSjv4ptk2dU6UV2EO5\n" \
	"yCpO63XO8zv8A4G8iyonar039HUg5jqvPtMGnBva5+uPVI+1dYPygeUwZGUkrIdB\n" \
	"8zhiMnoNYRQFp1hVp916YOO8F5VSb9osZSIMMQKCAaMKvQlF6VjiYjL3C4iip8y+\n" \
	"6mLTpJe3Oms/jAcQH7og7Vc+awKvoYDvaqUEnVl4Px7w0k7+jUPVDe+2bHWQrxwN\n" \
	"WDnOG1CX4GDPbfkp8bKIrf8UXn9yfwlAgjTpWJ5wU3jV41AbuEWaTbjlUfi8/Ot4\n" \
	"hBS9PUGspAfQtM64oNMBitZwTkkk5Bl7WG6Ftz6/7+7oL8DjEh/Qwl4eWjaJAb1a\n" \
	"qLAPqJHSBRW18N80fYomWct1gzcUnm/YxuHQ0FUNQNNZC1sfYQXx35NR+U+M/6yz\n" \
	"mVcu0UKjqsUUmbuedsmp6LHoYSGDKbibnxbRfI5mL62YqqBjmx+2aalCwhQMwCiA\n" \
	"wbQwIV86tPFYouWGgQC2E+qmCHCsJkRwdCxGkAqr9NRFizEs/UW5TNFRyrawsls9\n" \
	"k5GER2/ndwrKRNNT/c+uCenPejJIdv7g07mt4mNPaG/D9eoFC8wEqAN0Swf8g7Lw\n" \
	"bC/505MGi83bw3VW8doVQmXvR5rVEcOdpXRqMFcez+5HmmGNrF/5HowiRzMqGx/p\n" \
	"3n86q6Yyfnys4v+OmCBq1DLZYQKCAQAB9uGEeCJGT+gSBR/wLYDnSc/7r2cSMe0P\n" \
	"e/u7NBl+XlbkciHpNOnmbotLL7/P9kcnOeY51FZ6Q64Wm+CBNbod2XdalQFzUQUi\n" \
	"sT2g6Y+8Crf0Vwj/VJFfZr7X8GfK27+wvZDOtty308InaW9zO0aZx4Z1kbj88CW+\n" \
	"E5tszyJl7uElG1kWTXFzm12jtIbLSZDzoV5P4bKJWv0nAjNjQBFlB1xTToHjFl6G\n" \
	"VQRCLmMOCbVjtYCmdPpYDKlPLe9Hc0I0GJ5CRPIdaWV/JGkqavsRmLkDnbdrb9+R\n" \
	"Z9SPcHJYnNptM4PuUZMTfVHjzoDwV2AcLH/8ayFWmwnNasUoZr53AoGBAOALkS3Y\n" \
	"Aj27yFAT4LSDWFAEUv5Z2+ueGBwyLlvuo5UlISqpaBJH3+xpJ53kI8WEg5vS4Sgx\n" \
	"pBHs1wEahchInNLqjImQXURwWCDHo7QihlVBKaWo0MoRJqMpHLA02yc8TmMSRYg6\n" \
	"P998UiBtm7FMzfJg8NsuOpplVeMdP+7gre2jAoGBAMkYYUhW4zbdJpbNgybLUBpD\n" \
	"FvAN/49tSJQ8lqj5WbiR4NrWW+gEOKCFigwDoflB089EPd8encFydQhYtr3U9BUS\n" \
	"8SJavZuMrvfhumUJAA4Rs4Z+t7e8ZWUkivep8+NW6h8zCYJ8bLxu+WwejZdtJ11P\n" \
	"dcCl7wjw71MqgYqf9dQbAoGBAN4EmGmFlTL30xkHmbVIM0uX/WZwRa7Hi7zlPWt8\n" \
	"oD47/RH5rlfvQcdUrR2Z5pjlKEZSQy1BhAT/XlCJp+lBi6a3J21q0gHwEmTpcSAg\n" \
	"1l3FpS+0irKzLEajhvpWZpYK/OLQSHcmwgUFfZ0FATRBmBSIXCXXOdumb+YQJjri\n" \
	"C3lhAoGBAI/1SA9FRDtObgWe8bif66QhSxZmrwC6Ny8HgMNOXhBnPhTrR7f87Zzc\n" \
	"fErFfvq1STAjpjdH759AlM940rlq7aD4gm8ZjosAV3FUwt75ZnSr71zk8hgyYlPZ\n" \
	"qTJLFDE3UzsqijBDaoQq3Zus86fnmDqQW7eiElDQSkO7NilLAezpAoGACzr6L/sG\n" \
	"yWyI7yNmSoWP4PxoxSyhG00uwnk9lnQravdR1oFNaJWiW9+s9kiDHgZ4meLiJwED\n" \
	"fn4pJizEt+1IwFQZ/JkjSa5F7xSuDBMyiYl6dvKJwo8wcff3AeU9jDA6GmcpL4Dz\n" \
	"OQUXR16rpY8Y7z2v6xfR1rxSP5HrRMqB6sI=\n"                             \
	"-----END RSA PRIVATE KEY-----\n"

#define FIXTURE_RSA3072_KEY                                                  \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MIIG/gIBADANBgkqhkiG9w0BAQEFAASCBugwggbkAgEAAoIBgQDIIk6SESe+XAmA\n" \
	"d5I5OCX26z3OuJqfgGmIm4lV9zrH3TdYKal1L9JpydKJ5Appd1Hf+mLuBtE4UgAV\n" \
	"oV1W+bs+H8GfZc2jABLXTx47pK7eJKf5SXqzbpr3ehLoMtNgY7gqpK33K7oMXEsD\n" \
	"AApzKEdWHgjcFiYdTQrutrlbWFxr7KwhuMeGn6YuqwrmTOpYiwHedsLru0OsOSwc\n" \
	"9SDwGtkPYz/NSCm09nod+hn6DjSYJ+TLkq5wvOVVeufu1W/iZhk/OiikTuW9tHiG\n" \
	"r7DjfSGsEz9lBOfBBXKFcVn6zEuGkf/YjmTNlfWHhRTswF5baTJJjcUDdjArgjgF\n" \
	"4iAMFTeR9MA4B5NwlyYHYl0cwYLSEXJM8Yhp95m2lNChiVBbP7rK4oBz77r3aMRJ\n" \
	"8TF3Wh3gp4e8IR3IftZm3rV/wlepdIq7BpQB5GzfkVQ2oIeypfQO4TsZABegfi07\n" \
	"INWvqQyHpDqqu5fhXaDRt13t6wFkw6JaLVHLyHpbsjqxu+/SUb0CAwEAAQKCAX9B\n" \
	"Ru9ZtT7BWEPBIz8OasH3R8NhKdVFMR068YBaCcmiZwUmPHCJSI/Y8Xs6fqbmv4R1\n" \
	"CbY67P5Q4G4mn/tR4yKvoKwG0a3A/MUodSXnTk+7JTmkldLvs6PYFHkWQ32uctgf\n" \
	"EJethxWn8nKFB/5gkUKzVBiPsKm95OMr+W173dZHXWrHlP1/a5NIpYFonK3TM4Po\n" \
	"i9QID4yDICLDTzDvH9KssjKdQmxYGgy6uli+tuNwvZJi0/UR0Ir81pnPzM4xihse\n" \
	"FmlAD1iVn4ABBBjzKpGG9k15kHDqbheC5/x/VOTGElWyhCS6XFtOHErA4V1ye8Ho\n" \
	"cr86QWbo2F/xs08P7ZFhrLnMFnuD2BaV6mmy9Q8w8+DGvMyp6aCeGP1QG3mKYAU0\n" \
	"lG/FxBlr/L/A55RWj77p/nGX3BM4xbe5uQddxIG1tse2zWE87KaAoRGyFqjUcSmF\n" \
	"brYfXCAzaT2OaMW9iJvX4qnNCuMhy4WpB5ZIrsZL+U8M7TnBdxv5EwKbgBVLMQKB\n" \
	"wQDwf3qF+sUW4gxO4SVzZWq9SZ9ze7zjFSo7qreQNRamzHKFcSRW2ejWVxHXJ5BL\n" \
	"fwZXEhBsA5NBkoy5ETdmcYoMo9V9Y2NFDLymMv5R4VQM4/3Eoz3+2g1PlIcfdoZE\n" \
	"CNsDS51R4PjBYF+wkrvk6Xk4jAY3Q60Lt6GsPIvomFNV2Tf/0TiNCwHHTJHmEFOj\n" \
	"NPHVav0Sl0gI/0aLV3KYM+8QjYC9DmGfTkGlLI39nrIHRP5YpEcRBQ/nxNpmolp6\n" \
	"s4kCgcEA1QjFnB4uAVwgtv3BMfd3fUG3IXcHq780iipIRNNTNbj0vVf9zJDeMgv9\n" \
	"XqY89lHIo6xIv0vkdKzhmTtwRd8QNmSEG8mnbHSiUE+RBw7pVTySfTiY5qIFaWCI\n" \
	"offY93uracX5C/mwxdzybHFd1XT8G+AoV3rREAY97u+QBijfmvplWNkX4kmqK1bv\n" \
	"TowMdE3GjXupKXLHvbS73VDPeKB/80Y6H6HnixUH7xDzxIyDjED/6ElYWZpwxiSd\n" \
	"DcAWvXuVAoHBAOeYa13wQrGpl16ylAUPSf3kkyd7pkcrz5LL8J9vcFPKGBKHBQ6a\n" \
	"JA2cpXKDCAKb3XglziimPL1tqhRiDu6ZMe7AKsvn1OXewSBvhNdG3VDYkT02UnJE\n" \
	"e4MCLilPUzbbLEV9II+DzSkzbJK2iziC2RhqR2Yaxt68xHT/jV+8qKvIVZQFX6b7\n" \
	"TYgmJW3elRxa1PPHZtPrWRRI+B8hZBpMENDo42usGLh3fOHaCRaOJzS27RRhhopO\n" \
	"TKXNvOAPQoBcuQKBwQCO0/HBKM7JZJ4eceUsffDjzsJcMnS3JluwYobPdiusshOM\n" \
	"OslTdLE0Nqup4KSwtMZjTef8MYK64wnh9WLhxZsWDLAx/TI92bjVRXNDmzC/T/wa\n" \
	"7m48+tXL/8e7Z/NUgdq78Np3t/FXxznVkPBLY8J/YftKI3K1Xqn5Xy5dotvACS8X\n" \
	"sX183syzf/az39udwmNjikwxGN5oBxuJV1uyUVFXpnbjrGYT7obCNshot5ie2Rl6\n" \
	"AGq2sH/5qKSPioD0iz0CgcEAznkZB5i1BK2+c9BlvEPeDX1b9KZnvMzgfaMLsXDe\n" \
	"VBgpbvX2pOWRSaaAqW7e96JupTzt6jb8aGw9i/OZBIoMnsA7gfJ++wPVuzMSi01T\n" \
	"NBg3Z7v5VITVWETpfCLg7PuYeFMQaj0FC6D1WhUMJ65GagTJZLSAj2UYaRGiNkzZ\n" \
	"f2YNyMEnLIWgp0Ch5iXrMlrvn+lm4pTq9HQbPqiwHNzE2xsAEmp+Py69w/XamcpH\n" \
	"E/hMKKE7C2IXHwTUZxmTDprj\n"                                         \
	"-----END PRIVATE KEY-----\n"

#define FIXTURE_RSA4096_KEY                                                  \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MIIJQgIBADANBgkqhkiG9w0BAQEFAASCCSwwggkoAgEAAoICAQCwPKeactdF7XvP\n" \
	"ke99s6tgZCkARz8cEQHhG+deDe7ZL6LTkU/RZNYiIT0W31TMwKMqvYH63/8viRiP\n" \
	"8MVWmhig2uoECqPm2GPYEYJeFeAs0UeyyIYH0yCTYZ1UhyzF+a44fUprrO8acznw\n" \
	"p5iA92KM2L2ecHDf9mgan9Rp9dWXWX5ZoyNOOdDVEPAdR8Dy0U3kDk5eugUs27G1\n" \
	"FSlqB5CC4g1oZ0K91m+TYRvO3SUaAic8N1jZ/jgubLIP43cSJbnI0SYjBpnKvUAm\n" \
	"irGQIaLEoJoa1Pg7naiHwYJXcOmmhCkzn+cJV5+f4GHu4y3k8OFFm1wkfR0TIaby\n" \
	"hqw1MApIPAwENoevtCS/V6gXf/ZCwCAcP3xEdWZrECJZgWhqFJmz6+ECOji0XxOO\n" \
	"Tn559ZExV98mEGyoiGkpEmYkYZrMdVXzen9SbhR9gKr0pfVuciEj541zgTHXAOsO\n" \
	"IY/2Li/c/fYi63FJ6g5lzBZAUdbRkuuFG2qZdynzj5tJw7bKSleIUu1Hy4CxFX4a\n" \
	"CCFrElY97HPxL9GavdHTVcZ0WJL6pqCESme09RhXwmV284x8E0+Mkkrvh2A9VT7T\n" \
	"EGOkKfOwbYdOqFDQ1CTxa3nD+Azwbk3IrNv3F0IVTpfJC1/oj0ATJuQ9tnukjFu1\n" \
	"TyWvZJx8Hh9P+XM4qPrrLkomlVcPvQIDAQABAoICAA9V29S7+QEH+v3TKlaTF47N\n" \
	"8GZqjLKNxU7YDYA48Kd79mx4CMzE/EAgic8PdHLTsW8S6fhRXQR/JsDBt/5C7vEy\n" \
	"U2oyHdSE0F1ZGrHCsAzeUiGbwtPz+nHwrM7R62K3yQH33w2zEORJkglfoAza2fu9\n" \
	"EXTzvlKyv5jPfx2QS3t9yVmV8UjJjaM4s9gsaf0HGwLE/utNvw0J+fLyqjWkfl3x\n" \
	"Oy7yS1O3EOLvcIrF4ghbFxxtiYEAltVtVmo9BhuxZjL0BiBGnwPOB4LDD1PmJWJ8\n" \
	"QiSjEw2m+KcFfujKdb5sYiRwndtJgWWZUhRGNvRkxIl4zSIMtAa55yvT7bC8IyzE\n" \
	"eX3YTTCdlI3FolAxmy+7zsCDnTAI4VVIIrEXz0aivX8oEQ62K/X3TpdOUwQLVIX2\n" \
	"zRMzgBgUY18NFe8Vqn6LKyFeZEua6YYq9RD+rxcuPIfh2qIZXuFB41staTiX/h7R\n" \
	"BD/Geah5x/hx5El4zU0yPEixNXFVBlp1NQ0t/N9YExh2k7SEn+HNSgvgGpAziVb6\n" \
	"E+A7eHkQK+PqVwxgMmAfkKvdWh1t27l5MAmGsEsiiRvkI9acGO9HC/IoCcuFEEX2\n" \
	"X7/VctgP4/fLWH16ZrYq8QxqcXFhks4jmp8kgZqEGrVN6AXORM89NZc4jBp8/iFO\n" \
	"/9GiaJjNnGKs2OehsUOZAoIBAQDY49CdnwXVYSJxo8p46TPyLW/c1hr0A65PW2vd\n" \
	"EDueB0zwDdFPBpZZv7GJqd13mQV4aQf8S1/NnSCI7J/vxYLuA4kru+P+C3+lqrOB\n" \
	"QZMiV9YA8ooTPSxl4UVh8ikzkgM5FOnBpUU2J3awyHIOUKbd3phgeiWovo5PYUln\n" \
	"k+oRJ9KbJB2KYebQFPaeqj5eW4yI9bi4ONRatSNS0U9KB8VU7S5NYraRlkpbdXo7\n" \
	"3ZtgXWp4RPUW+2zmsF7O7yYb7Raeqe0gqap/55EUfZIRsaFv031C4s5ASkc6Zss8\n" \
	"NofkjhpRNn3s2qal/39HqUOaaQiToc46+cSVrbPDc9DnyglpAoIBAQDQBDI3CNTX\n" \
	"P6E+lQk2cD1YWKxBtnZD7NYHIhGFTvhbp21MmJXJ9S7r3F6kKHvuS0AuvIogga7h\n" \
	"C8ffvnBz30QW61KA4F0RHov4AyQN4hECNLMlQrFQ6ZV72GmrXTPv7yrYus5nPnU/\n" \
	"CwE0KbVj7x8F1QFnFrhEF4plKO/TwZU/SHFgG1sDY5DcDEkxIWt6ZNvQYcHZwIvp\n" \
	"H7a5PNNMy7lj2HatzLjPN1bnOSB5VpA3wUjGZJ5zJw/APHPI+IY7Me4pgwpdqTbW\n" \
	"mcw+Jdmglo+kEcutlbwUidA82b8lu74TKCaStayPtB1mp22tG0xwzqWqsY0uUfws\n" \
	"qAdRW7SmoZU1AoIBAHm5WcKslgyMaFVY9HBpiTLY11gcfaIHUtPM3juCOcNWG5L6\n" \
	"Xkc4zjbug8hcIiRWKCDM6aNp9gmirrjJ/HUH55SHPXvjBnD0qR4kMHxRfi8fFscP\n" \
	"V/i2M222QUdYLlF4GAD4QLzicXaULWPIC2MHVq9cly5GP052K85XLmhINmyMagGS\n" \
	"AlZA3dZYfZTMvRYd0UCoj5QsqNmDoaCAQjytIc2pE3xw8z/AFllAFGr205YAt5lq\n" \
	"MhdE4niR8ZO32i6AIFrJyYC0WDFSmDTkyI7Pn2fwTPO18MVaKqGXQWa4wAnAyvpb\n" \
	"V88PY8n0G83vLDbDzgF1JRYqSW8rvqDqJguAc0kCggEAQ23YyTY3qD6cCilNfzQK\n" \
	"7qRv0i1PUN1o048bltbucudm6rlbdMfhmdspYpUs9yW1fHDpZXgkNBcZh1G4Khdp\n" \
	"fvRxHg2cnXwFazO5cDajxM9Icv+Xct8E8cxJFJ91woUIopCLb7QzVWg/z6Tlg6tz\n" \
	"pvRRLBWVTZ1D417Nvxq1Qno9JiY37nVL88iXwTFQIbCoAHhv2iIsODlrhchNxksT\n" \
	"oWX9soD2N1V8+h7ug+angStKZ+Ud5731wR7XeYH2ISIiTZqItauwdwgLyOmEDiZA\n" \
	"EbMjDvXGrfGuass6xwSArL0LI+t4MGz2StxjFQYQVVDnKtm7JhS1ZdRh6uGLQaiH\n" \
	"MQKCAQEAsABUQ8xo9zzwH9DYMlNUNrqMFEoAFntFo8flizKpZr9WIzWi+9IFyJGg\n" \
	"g1rH9myQ7ZBtdmAcs3f6LFIy78zu5c1PBH0s9d2CbMXRfUro+ZbcrSvLQ2XMEFw/\n" \
	"0qXLLwFca2BGkzF+KvdF/Q7IqVkXdbghu63A+QEWgs4vY40E3dZkyE7p24Yhin4A\n" \
	"OxkMATh5kGnIUm3lW/UNJrdd7RbJRJxSVWSaoaYP34mFILhD14mqONiVjgjvMPMI\n" \
	"iTkjNa4SljCvo//3/s9QWUC1yUZqRQk7Q17E7QFs1Z6dRV6t39kxQfZxzaerMxFj\n" \
	"vv+JFkKMSizQY0GxOm+kvF2rZy+qyQ==\n"                                 \
	"-----END PRIVATE KEY-----\n"

#define FIXTURE_P384_KEY                                                     \
	"-----BEGIN EC PRIVATE KEY-----\n"                                   \
	"MIGkAgEBBDA0/aZtaaJDwqumdprxPbhXONrq9wjvQwB3qimvqBT/d6V6SfuWJ6k/\n" \
	"d4tqjkJIa/GgBwYFK4EEACKhZANiAATpSAMb0NjU6xspJdXYOFCgQtc53Fe51VQQ\n" \
	"5xnzYcLMSOu4q7HWCtaH0IKj+yTEk0veiR69o9Q82MkOWSbeXa78gzfTvTERfUZW\n" \
	"1d7t7yqYJidlh6VhzncLrEWfp5cszIQ=\n"                                 \
	"-----END EC PRIVATE KEY-----\n"

#define FIXTURE_OTHER_EC_KEY                                                 \
	"-----BEGIN EC PRIVATE KEY-----\n"                                   \
	"MHcCAQEEILqo+Bd52m3Wnh7e5/NRqos4r1056tyjmvb4RzxMJ+6LoAoGCCqGSM49\n" \
	"AwEHoUQDQgAEaCOoc1H8jCv5zJ+zm72XYt7Wat5A1hKQ4nD/PUpkwU7s5ONOc832\n" \
	"dgzyCZdg4kfxud37fi+ZyTgIFFdylDehFQ==\n"                             \
	"-----END EC PRIVATE KEY-----\n"

#define FIXTURE_OTHER_RSA_KEY                                                \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCfi5W0nb4sQ5ob\n" \
	"10A0wdkYe1DAG1dAHHJ6uZzR3byCfLGY6SDG9Gs5pM00elfISYbcBN52X1Clu1jR\n" \
	"e6+/hDSssdUigJm0ZLoPelHa5saZkWtL+lVOKzBHvdP1x3nxvByHrmBRyBOZF8fw\n" \
	"aDVGadru0Ig7Rh0572Yh16Ipd3mh9nQKK8QTh49/qPWkjpLZjSSt4McHJsXe0AGO\n" \
	"2NS38gpNpBwJIRkkVhluQ2cD2uGu5ckx9I9c3nt0W6oPD3afeEshDOUn4docGqFb\n" \
	"CBzgGBAIbRdu2+hICZdFAfY0G3wkWkwbzEo05bF5oW6fVZqYQDdYJlvKT9kR7Q8r\n" \
	"VU63ksZ9AgMBAAECggEAA6U2E2AmTqRwcpHmvj3ZTBanN+3NVCJCQwfCK5u6zqrI\n" \
	"M7Oh7ix6qwtsV+EIEplhet35R5rya12o5XJuHSdevRJmybNxWkk8j2rOpicvOFDg\n" \
	"XXuiXtdG8rYFkDWnADe5hCfJvMdK8Vd1LUry6qwJAVC48s0YO7EQCZZqdrLrj8sv\n" \
	"S80CBXcA7jSfyUFDNf/oVp0dG7BglpjIW2ItK4lobVsYZ9ZCBlFoCTEFW0DAIzNS\n" \
	"P+yodOkqPyTXbitP2edgP7ehEWg6WuFW840oH0/I8N3uZS4487Pz4T7d8DW+Rjt2\n" \
	"egEyZwOseIG/1BEREFz16rvOJXqwYxS4xM7pmwtS6QKBgQDKmBpbLeZjEUBjLWfZ\n" \
	"CCtZxNC7yYnF7KslkvEIclqd9wMpi88SSzmJpL7KvgvOUzRiPYqsM146dBnMBPjJ\n" \
	"+rOZOf9Ge1ORUE+Fs3bqVNvy3ud3Vb6/PlOKJeMKB4XlWfQsiaGpVq+bWJo7cJOz\n" \
	"Trfom1mfupZ3/Hn6hn1x3+bxJQKBgQDJmlzkF+bxjnCqa7BFF5WB71NALDElrPvZ\n" \
	"zelFO606FnUbpU/FW2VNVnrfKDqD0PNqeXONf7OZziLpIsPpVzaAG8IxArK2FCXc\n" \
	"NDFUbZbD/ohqaVTe97DohCjK6Ll3DZMX1y05EqBXYHW2MuSHfWLu5RSAdhnaRw1p\n" \
	"uG4UucPceQKBgHbOxj4MZ9xXBJxkx07GdK27NvG5WfthNGjfiEx8y1lxv0ABBllj\n" \
	"FgX7QAwjcUb5EnI+RvF/WlYLOgmkLMY+KE7GbUbHEhXYtBnjSexYAXincbRQ64C5\n" \
	"q0ILv95k1QfQPdpUiCKHfIosZp5PAb8Yfc+CMwfx40XQITRi5HQAay2lAoGAJJ/4\n" \
	"dC+rcwLPkQZTVZn9PUe/Ng9RNmkAsAbqc/ttcvoVeFpF7bK26p/lXpkuWDgjoJpD\n" \
	"1db3R9/dE8GPGdsQOaHRW5oD4XQzlJeexpnKI/0fx0Uvd/pDl1o7FvHEj85VhKVA\n" \
	"v/eUTYtmlx0Ty1GKIaBYYyYReEgkNaqdxQIihPECgYBw6ARnTntnMtWoYl9o30SY\n" \
	"YHxzwLEiaSMJB2XEuGHHzziAicHksQTSfY8zTMeeFbzxFY1n2PtrkGI5xJfiCKhA\n" \
	"I6IRbCsNf1h3XaqukDRiSCnkt9O3f4OcQigApQQ4OLbrQRSeUpca6yy+g/iLihtx\n" \
	"7bMQoPEIh+oVdqAZYPxEHw==\n"                                         \
	"-----END PRIVATE KEY-----\n"

#define FIXTURE_ENCRYPTED_KEY                                                \
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"                            \
	"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgBPdfQnKt8awICCAAw\n" \
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEDHAHG9dU6MBjGk0zwwzFCcEgZC+\n" \
	"SJL8PglZhi4vnz2ZiLPurtDFxkLUqgZpDwibOf6ebuxEFqJWjAUOznYYtYFvloN6\n" \
	"UppKyQtBKqgtXPUCkKV3L4UeuL+VNfpQq+QTgv+dneX8ZUJC47+DAvtk3WOCU3/4\n" \
	"4tQL+5f6FJuGBJXi2U5LnhHmtyTqLcr8g7oKOBpiKOgebbzUSwvuqA4xIwZ6dz0=\n" \
	"-----END ENCRYPTED PRIVATE KEY-----\n"

#endif
