// The normal and Student's t distribution, as far as intervals need them.
#pragma once

namespace weir {

double normal_cdf(double z);
// P(T <= t) of Student's t with df > 0 degrees of freedom (not only whole ones), by the continued
// fraction of the incomplete beta function (DLMF 8.17.22). df infinite: the normal distribution.
double student_cdf(double t, double df);
// Two-sided p-value of t.
double student_p(double t, double df);
// The t for which P(|T| <= t) is 0.95.
double student_95(double df);

}  // namespace weir
