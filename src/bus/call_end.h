/* Forgets what bus/call.h defined. No include guard. */
#undef CALL
#undef REQUEST
#undef ANSWER
