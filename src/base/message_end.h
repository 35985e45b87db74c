/* Forgets what base/message.h defined, so that the next pair can define it anew. No include guard. */
#undef MESSAGE_STRUCTS
#undef MESSAGE_PROTOTYPES
#undef MESSAGE_ENCODERS
#undef MESSAGE_DECODERS
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef BOOL
#undef STR
#undef FD
#undef SUB
#undef LIST
#undef LIST_OF
#undef LIST_STR
#undef LIST_U64
#undef LIST_FD
