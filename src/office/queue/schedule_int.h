/* The scheduler's own parts: jobs, sites, peers. Only schedule*.c includes this. */
#ifndef OFFICE_QUEUE_SCHEDULE_INT_H
#define OFFICE_QUEUE_SCHEDULE_INT_H

#include "office/queue/schedule.h"

enum { SCHEDULE_MAGIC = 0x53434844, SCHEDULE_ARENA = 1 << 30 };

/* A doubly linked list; the head is a link of its own. */
struct link {
	struct link *next, *previous;
};

struct job_row {
	struct table_node by_id, by_message;
	struct link line; /* READY: in site->ready or lane->suspects; ACTIVE: in peer->jobs */
	struct schedule_job job;
	struct site *site;
	struct peer *peer; /* ACTIVE only */
	size_t heap_at;    /* WAITING only */
	u64 taken;         /* ACTIVE: since when, monotonic */
	u8 deaths;
	u32 unread;      /* times in a row that its rows could not be read */
	bool hold_after; /* the administrator held it during an attempt */
	bool again;      /* a DSN that has more to say once it is settled */
	bool suspect;    /* READY only: in lane->suspects */
};

struct site {
	struct table_node by_name;
	struct link
	    turn; /* in lane->turns or ->slow_turns while something is READY and there is room */
	struct link ready; /* of job_row.line */
	size_t jobs;       /* that name this site; 0: the site goes */
	u32 active;
	enum schedule_lane lane;
	bool in_turn;
	bool slow; /* it kept a peer for SCHEDULE_SLOW_MS, and has not been in time since */
	size_t name_n;
	u8 name[SCHEDULE_SITE_NAME];
};

struct peer {
	struct table_node by_number;
	u64 number;
	struct link jobs; /* of job_row.line */
	size_t active;
	bool alone; /* holds a suspect of the mda's lane: gets nothing beside it */
};

struct lane {
	struct link turns;      /* of site.turn: each gives one job and goes to the end */
	struct link slow_turns; /* the same, of slow sites */
	struct link suspects;   /* of job_row.line */
	u32 active, total, per_site;
	u32 slow_active; /* of `active`, those of slow sites */
	bool slow_next;  /* whose turn it is, when both have one */
};

struct schedule {
	u32 magic;
	struct arena *arena;
	const struct env *env;
	struct table jobs, messages, sites, peers;
	struct lane lanes[LANES];
	struct job_row **heap; /* by due, earliest first */
	size_t heap_n, heap_cap;
	struct link free_jobs, free_sites,
	    free_peers; /* used again: the arena frees nothing singly */
};

static inline void link_init(struct link *head)
{
	head->next = head->previous = head;
}

static inline bool link_empty(const struct link *head)
{
	return head->next == head;
}

static inline void link_append(struct link *head, struct link *item)
{
	item->previous = head->previous;
	item->next = head;
	head->previous->next = item;
	head->previous = item;
}

static inline void link_take(struct link *item)
{
	item->previous->next = item->next;
	item->next->previous = item->previous;
	link_init(item);
}

#define link_object(link_, type, member) ((type *)(void *)((u8 *)(link_)-offsetof(type, member)))

/* The heap (schedule_heap.c). */
void heap_add(struct schedule *s, struct job_row *row);
void heap_remove(struct schedule *s, struct job_row *row);

#endif
