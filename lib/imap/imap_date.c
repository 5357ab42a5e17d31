/*
 * Dates; see imap_date.h. The calendar is computed here: mktime() would go by this machine's time zone.
 */
#include "imap/imap_date.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static int month_of(const char *name)
{
    for (int month = 0; month < 12; month++)
        if (strncasecmp(months + 3 * month, name, 3) == 0)
            return month + 1;
    return 0;
}

static int days_of(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar, years from March on so that the leap day comes last. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int imap_date_parse(const char *text, struct imap_date *date_out)
{
    int day, year, hour, minute, second, zone_hours, zone_minutes, month, end = 0;
    char name[4], sign[2];
    if (sscanf(text, " %2d-%3[A-Za-z]-%4d %2d:%2d:%2d %1[+-]%2d%2d%n", &day, name, &year, &hour, &minute,
               &second, sign, &zone_hours, &zone_minutes, &end) != 9)
        return -1;
    month = month_of(name);
    if (text[end] != 0 || month == 0 || day < 1 || day > 31 || year < 1 || year > 9999 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || zone_hours < 0 ||
        zone_hours > 15 || zone_minutes < 0 || zone_minutes > 59)
        return -1;
    if (day > days_of(month, year))
        return -1;
    snprintf(date_out->text, sizeof(date_out->text), "%2d-%.3s-%04d %02d:%02d:%02d %c%02d%02d", day,
             months + 3 * (month - 1), year, hour, minute, second, sign[0], zone_hours, zone_minutes);
    date_out->unix_seconds = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
                             (sign[0] == '-' ? -60 : 60) * (zone_hours * 60 + zone_minutes);
    return 0;
}
