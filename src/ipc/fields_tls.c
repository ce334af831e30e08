/*
 * fields_tls.c - the fields of the messages about certificates and signatures
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

static const struct ipc_field keeper_settings_fields[] = {
    {"index", IPC_U16, offsetof(struct ipc_keeper_settings, index), 0,
	UINT16_MAX, NULL},
    {"signs_per_second", IPC_U32,
	offsetof(struct ipc_keeper_settings, signs_per_second), 1, UINT32_MAX,
	NULL},
};
const struct ipc_record ipc_keeper_settings_body = {keeper_settings_fields,
    ARRAY_LENGTH(keeper_settings_fields), sizeof(struct ipc_keeper_settings)};

static const struct ipc_field pair_chain_fields[] = {
    {"pair", IPC_U32, offsetof(struct ipc_pair_chain, pair), 1, UINT32_MAX,
	NULL},
    {"name", IPC_SPAN8, offsetof(struct ipc_pair_chain, name), 1, 255, NULL},
};
const struct ipc_record ipc_pair_chain_body = {pair_chain_fields,
    ARRAY_LENGTH(pair_chain_fields), sizeof(struct ipc_pair_chain)};

static const struct ipc_field pair_key_fields[] = {
    {"pair", IPC_U32, offsetof(struct ipc_pair_key, pair), 1, UINT32_MAX, NULL},
};
const struct ipc_record ipc_pair_key_body = {pair_key_fields,
    ARRAY_LENGTH(pair_key_fields), sizeof(struct ipc_pair_key)};

static const struct ipc_field pair_result_fields[] = {
    {"pair", IPC_U32, offsetof(struct ipc_pair_result, pair), 1, UINT32_MAX,
	NULL},
    {"ok", IPC_U8, offsetof(struct ipc_pair_result, ok), 0, 1, NULL},
    {"chain", IPC_U8, offsetof(struct ipc_pair_result, chain), 0,
	IPC_CHAIN_END - 1, NULL},
    {"n_chain", IPC_U8, offsetof(struct ipc_pair_result, n_chain), 0, UINT8_MAX,
	NULL},
    {"n_names", IPC_U16, offsetof(struct ipc_pair_result, n_names), 0,
	UINT16_MAX, NULL},
    {"not_before", IPC_U64, offsetof(struct ipc_pair_result, not_before), 0,
	UINT64_MAX, NULL},
    {"not_after", IPC_U64, offsetof(struct ipc_pair_result, not_after), 0,
	UINT64_MAX, NULL},
    {"reason", IPC_SPAN16, offsetof(struct ipc_pair_result, reason), 0, 512,
	NULL},
};
const struct ipc_record ipc_pair_result_body = {pair_result_fields,
    ARRAY_LENGTH(pair_result_fields), sizeof(struct ipc_pair_result)};

static const struct ipc_field pair_drop_fields[] = {
    {"pair", IPC_U32, offsetof(struct ipc_pair_drop, pair), 1, UINT32_MAX,
	NULL},
};
const struct ipc_record ipc_pair_drop_body = {pair_drop_fields,
    ARRAY_LENGTH(pair_drop_fields), sizeof(struct ipc_pair_drop)};

static const struct ipc_field certificate_fields[] = {
    {"pair", IPC_U32, offsetof(struct ipc_certificate, pair), 1, UINT32_MAX,
	NULL},
    {"kind", IPC_U8, offsetof(struct ipc_certificate, kind),
	IPC_CERTIFICATE_NAMED, IPC_CERTIFICATE_OF_ROW, NULL},
    {"name", IPC_SPAN8, offsetof(struct ipc_certificate, name), 1, 255, NULL},
};
const struct ipc_record ipc_certificate_body = {certificate_fields,
    ARRAY_LENGTH(certificate_fields), sizeof(struct ipc_certificate)};

static const struct ipc_field sign_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_sign, ask), 0, UINT64_MAX, NULL},
    {"pair", IPC_U32, offsetof(struct ipc_sign, pair), 1, UINT32_MAX, NULL},
    {"hash", IPC_U8, offsetof(struct ipc_sign, hash), 0, 2, NULL},
    {"bytes", IPC_SPAN8, offsetof(struct ipc_sign, bytes), 1, IPC_TO_SIGN_MAX,
	NULL},
};
const struct ipc_record ipc_sign_body = {
    sign_fields, ARRAY_LENGTH(sign_fields), sizeof(struct ipc_sign)};

static const struct ipc_field signed_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_signed, ask), 0, UINT64_MAX, NULL},
    {"ok", IPC_U8, offsetof(struct ipc_signed, ok), 0, 1, NULL},
    {"signature", IPC_SPAN16, offsetof(struct ipc_signed, signature), 0,
	IPC_SIGNATURE_MAX, NULL},
};
const struct ipc_record ipc_signed_body = {
    signed_fields, ARRAY_LENGTH(signed_fields), sizeof(struct ipc_signed)};

const struct ipc_record ipc_certificates_done_body = {
    NULL, 0, sizeof(struct ipc_certificates_done)};

/* --- states of pairs --------------------------------------------------- */

static const struct ipc_field pair_state_row_fields[] = {
    {"name", IPC_SPAN8, offsetof(struct ipc_pair_state_row, name), 1, 255,
	NULL},
    {"state", IPC_U8, offsetof(struct ipc_pair_state_row, state),
	IPC_CERTIFICATE_SERVED, IPC_CERTIFICATE_STATE_END - 1, NULL},
    {"chain", IPC_U8, offsetof(struct ipc_pair_state_row, chain), 0,
	IPC_CHAIN_END - 1, NULL},
    {"n_chain", IPC_U8, offsetof(struct ipc_pair_state_row, n_chain), 0,
	UINT8_MAX, NULL},
    {"n_names", IPC_U16, offsetof(struct ipc_pair_state_row, n_names), 0,
	UINT16_MAX, NULL},
    {"not_before", IPC_U64, offsetof(struct ipc_pair_state_row, not_before), 0,
	UINT64_MAX, NULL},
    {"not_after", IPC_U64, offsetof(struct ipc_pair_state_row, not_after), 0,
	UINT64_MAX, NULL},
    {"reason", IPC_SPAN8, offsetof(struct ipc_pair_state_row, reason), 0, 255,
	NULL},
};
const struct ipc_record ipc_pair_state_row_record = {pair_state_row_fields,
    ARRAY_LENGTH(pair_state_row_fields), sizeof(struct ipc_pair_state_row)};

static const struct ipc_field certificate_states_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_certificate_states, flags), 0,
	IPC_PART_FIRST | IPC_PART_LAST, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_certificate_states, rows), 0,
	UINT16_MAX, &ipc_pair_state_row_record},
};
const struct ipc_record ipc_certificate_states_body = {
    certificate_states_fields, ARRAY_LENGTH(certificate_states_fields),
    sizeof(struct ipc_certificate_states)};

static const struct ipc_field certificates_get_fields[] = {
    {"after_name", IPC_SPAN8, offsetof(struct ipc_certificates_get, after_name),
	0, 255, NULL},
};
const struct ipc_record ipc_certificates_get_body = {certificates_get_fields,
    ARRAY_LENGTH(certificates_get_fields), sizeof(struct ipc_certificates_get)};

static const struct ipc_field certificates_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_certificates, rows), 0, UINT16_MAX,
	&ipc_pair_state_row_record},
};
const struct ipc_record ipc_certificates_body = {certificates_fields,
    ARRAY_LENGTH(certificates_fields), sizeof(struct ipc_certificates)};

const char *
ipc_certificate_state_name(unsigned int state)
{
	static const char *const names[IPC_CERTIFICATE_STATE_END] = {
	    [IPC_CERTIFICATE_SERVED] = "served",
	    [IPC_CERTIFICATE_KEPT] = "kept",
	    [IPC_CERTIFICATE_REFUSED] = "refused",
	    [IPC_CERTIFICATE_WAITING] = "waiting",
	};

	if (state >= ARRAY_LENGTH(names) || names[state] == NULL)
		return "?";
	return names[state];
}

const char *
ipc_chain_text(unsigned int chain)
{
	static const char *const texts[IPC_CHAIN_END] = {
	    [IPC_CHAIN_UNKNOWN] = "unknown",
	    [IPC_CHAIN_COMPLETE] = "complete",
	    [IPC_CHAIN_SELF_ISSUED] = "self-issued",
	    [IPC_CHAIN_LONE] = "intermediate missing",
	    [IPC_CHAIN_DISORDER] = "out of order",
	};

	return chain < ARRAY_LENGTH(texts) ? texts[chain] : "?";
}
