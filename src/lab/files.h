/* What a process that outlives the main one keeps open. */
#ifndef LAB_FILES_H
#define LAB_FILES_H

/* Keeps `fd`, under the number that is returned and not for programs that are run, and standard error;
 * standard input and output are /dev/null. The listeners, results and pipes of the main process must
 * not stay open because this one lives longer. */
int files_keep_only(int fd);

#endif
