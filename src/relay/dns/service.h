/*
 * relay.dns_query for the processes that may not connect: edges and ctl. A question holds no thread here: it goes to the
 * resolver, and the resolver's thread answers the bus call.
 */
#ifndef RELAY_DNS_SERVICE_H
#define RELAY_DNS_SERVICE_H

#include "bus/bus.h"
#include "relay/dns/resolver.h"

struct bus_server *dns_service_new(struct resolver *r);

#endif
