// GaugeFamilies: what a scrape reads when it comes, ready to be written out.
// Pure functions of their arguments and of the process. For metrics.cc.

#ifndef TERN_SERVER_METRICS_GAUGES_H_
#define TERN_SERVER_METRICS_GAUGES_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "prometheus/labels.h"
#include "prometheus/metric_family.h"
#include "server/metrics.h"

namespace tern::server {

std::vector<prometheus::MetricFamily> GaugeFamilies(const GaugeValues& values,
                                                    const BuildInfo& build);

// On every series of a model version.
prometheus::Labels ModelLabels(std::string_view model, std::uint64_t version);

}  // namespace tern::server

#endif  // TERN_SERVER_METRICS_GAUGES_H_
