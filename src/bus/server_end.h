/* Forgets what bus/server.h defined. No include guard. */
#undef CALL
#undef SERVE_PROTOTYPES
#undef SERVE_FUNCTIONS
#undef SERVE_ROWS
