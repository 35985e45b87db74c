/* The command line: everything that `postern WORD ...` does. Answers the exit status (exit.tbl). */
#ifndef CTL_CTL_H
#define CTL_CTL_H

int ctl_main(int argc, char **argv);

#endif
