/* What both stub libraries share: the scenario, a text file of "key value" lines named by LAB_SCENARIO.

   A call's return code is the value of "<call>@<device>" or "<call>"; the words hang and crash do just that. */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINES 4096
static char *text, *keys[MAX_LINES], *values[MAX_LINES];
static int lines;

/* Read anew at every initialisation, so that one process can live through many scenarios. */
static void read_scenario(void) {
    const char *path = getenv("LAB_SCENARIO");
    FILE *file = path ? fopen(path, "rb") : NULL;
    free(text);
    text = NULL;
    lines = 0;
    if (!file) return;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    text = calloc(1, size + 1);
    if (text && fread(text, 1, size, file) == (size_t)size) {
        char *rest = text, *line;
        while ((line = strsep(&rest, "\n")) && lines < MAX_LINES) {
            char *space = strchr(line, ' ');
            if (!space) continue;
            *space = 0;
            keys[lines] = line;
            values[lines++] = space + 1;
        }
    }
    fclose(file);
}

static const char *get(const char *key) {
    for (int i = 0; i < lines; i++)
        if (!strcmp(keys[i], key)) return values[i];
    return NULL;
}

static long long number(const char *key, long long otherwise) {
    const char *value = get(key);
    return value ? strtoll(value, NULL, 0) : otherwise;
}

static const char *device_text(int device, const char *name, const char *otherwise) {
    char key[128];
    snprintf(key, sizeof key, "device.%d.%s", device, name);
    const char *value = get(key);
    return value ? value : otherwise;
}

static long long device_number(int device, const char *name, long long otherwise) {
    const char *value = device_text(device, name, NULL);
    return value ? strtoll(value, NULL, 0) : otherwise;
}

/* The scenario's return code for this call, or `otherwise` where it names none. */
static int outcome(const char *call, int device, int otherwise) {
    char key[160];
    snprintf(key, sizeof key, "%s@%d", call, device);
    const char *value = get(key);
    if (!value) value = get(call);
    if (!value) return otherwise;
    if (!strcmp(value, "hang"))
        for (;;) pause();
    if (!strcmp(value, "crash")) raise(SIGSEGV);
    return (int)strtoll(value, NULL, 0);
}

/* Started by root, the driver makes the nodes that are missing: "makes" names one. */
static inline void make_nodes(void) {
    const char *root = getenv("LAB_ROOT"), *node = get("makes");
    char path[512];
    if (!root || !node) return;
    snprintf(path, sizeof path, "%s%s", root, node);
    FILE *file = fopen(path, "a");
    if (file) fclose(file);
}

static void put_text(char *to, unsigned size, const char *from) {
    if (size) snprintf(to, size, "%s", from);
}
#endif
