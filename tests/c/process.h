/* This process as the kernel sees it: its threads and descriptors, the library's and its own. */
#ifndef PROCESS_H
#define PROCESS_H

#include "expect.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static inline int entries(const char *path) {
  DIR *directory = opendir(path);
  NEED(directory != NULL);
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    count += isdigit((unsigned char)entry->d_name[0]) != 0;
  }
  closedir(directory);
  return count;
}

static inline int threads(void) {
  return entries("/proc/self/task");
}

/* The directory is read through a descriptor of its own. */
static inline int descriptors(void) {
  return entries("/proc/self/fd") - 1;
}

/* The whole text of a small file of /proc; empty if it is not there (any more). */
static inline void read_text(const char *path, char *text, size_t capacity) {
  text[0] = '\0';
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  text[fread(text, 1, capacity - 1, file)] = '\0';
  fclose(file);
}

/* Calls `each` for every thread whose name begins so; returns how many there are. */
static inline int each_thread(const char *prefix, void (*each)(const char *id)) {
  DIR *directory = opendir("/proc/self/task");
  NEED(directory != NULL);
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    char path[300], name[64];
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    read_text(path, name, sizeof name);
    if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
    count++;
    if (each != NULL) each(entry->d_name);
  }
  closedir(directory);
  return count;
}

/* Forks a child that does not outlive its parent, even if that is killed because it hangs. */
static inline pid_t fork_child(void) {
  pid_t child = fork();
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  NEED(child >= 0);
  return child;
}

/* How a child ended: its exit status, or 128 and the signal that ended it. */
static inline int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) NEED(errno == EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
