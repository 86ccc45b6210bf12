// GaugeFamilies: what a scrape reads when it comes, ready to be written out.
// Pure function of its arguments and of the process. For metrics.cc.

#ifndef TERN_SERVER_METRICS_GAUGES_H_
#define TERN_SERVER_METRICS_GAUGES_H_

#include <vector>

#include "prometheus/metric_family.h"
#include "server/metrics.h"

namespace tern::server {

std::vector<prometheus::MetricFamily> GaugeFamilies(const GaugeValues& values,
                                                    const BuildInfo& build);

}  // namespace tern::server

#endif  // TERN_SERVER_METRICS_GAUGES_H_
